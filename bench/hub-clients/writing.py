"""What a writer does, whichever way the client uploads: Xet where hf_xet is installed and not disabled, else LFS."""

import inspect
import os
import threading

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from steps import (
    NotOffered,
    contents,
    folder,
    offered,
    raised,
    read,
    run,
    same,
    sharded,
    step,
    weights,
)

api = HfApi()
MODEL = "acme/written"


def fetched(repo, **options):
    where = folder()
    snapshot_download(repo, local_dir=where, **options)
    return contents(where)


def head(repo=MODEL, revision="main"):
    return api.model_info(repo, revision=revision).sha


@step
def create():
    """A repository is made, is empty, and is made once"""
    same(str(api.create_repo(MODEL)), f"{api.endpoint}/{MODEL}")
    same(api.create_repo(MODEL, exist_ok=True).repo_id, MODEL)
    same(raised(HfHubHTTPError, api.create_repo, MODEL).response.status_code, 409)
    same([file for file in api.list_repo_files(MODEL) if file != ".gitattributes"], [])


@step
def upload_file():
    """A file that is uploaded is there, byte for byte"""
    local = weights(folder() / "model.safetensors")
    commit = api.upload_file(path_or_fileobj=local, path_in_repo="model.safetensors", repo_id=MODEL)
    same(commit.oid, head())
    path = hf_hub_download(MODEL, "model.safetensors")
    same(read(path), local.read_bytes())


@step
def upload_bytes():
    """Bytes in memory are uploaded as a file is"""
    local = weights(folder() / "bytes.safetensors", seed=3)
    api.upload_file(path_or_fileobj=local.read_bytes(), path_in_repo="in/memory.safetensors", repo_id=MODEL)
    same(fetched(MODEL)["in/memory.safetensors"], local.read_bytes())


@step
def upload_large():
    """A file of many megabytes arrives whole"""
    local = weights(folder() / "large.safetensors", seed=4, count=8, size=1024 * 1024)
    api.create_repo("acme/large", exist_ok=True)
    api.upload_file(path_or_fileobj=local, path_in_repo="model.safetensors", repo_id="acme/large")
    same(fetched("acme/large")["model.safetensors"] == local.read_bytes(), True)


@step
def upload_folder():
    """A sharded model with configuration, tokenizer and card is one commit, and comes back as it went"""
    local = sharded(folder(), seed=10)
    api.create_repo("acme/sharded")
    api.upload_folder(folder_path=local, repo_id="acme/sharded")
    same(len(api.list_repo_commits("acme/sharded")), 1)
    remote = fetched("acme/sharded")
    remote.pop(".gitattributes", None)
    same(remote, contents(local))


@step
def upload_again():
    """What is pushed again unchanged makes no new commit"""
    local = sharded(folder(), seed=10)
    before = head("acme/sharded")
    same(api.upload_folder(folder_path=local, repo_id="acme/sharded").oid, before)
    same(len(api.list_repo_commits("acme/sharded")), 1)


@step
def upload_changed():
    """A push over an earlier one changes what differs and keeps the rest"""
    local = sharded(folder(), seed=10)
    weights(local / "adapter.safetensors", seed=99)
    api.upload_folder(folder_path=local, repo_id="acme/sharded")
    same(len(api.list_repo_commits("acme/sharded")), 2)
    same(fetched("acme/sharded")["adapter.safetensors"], (local / "adapter.safetensors").read_bytes())


@step
def earlier_commit():
    """A commit keeps what it held, whatever came after"""
    first = api.list_repo_commits("acme/sharded")[-1].commit_id
    same("adapter.safetensors" in fetched("acme/sharded", revision=first), False)


@step
def delete_patterns():
    """A push with delete patterns leaves nothing of what they name"""
    local = sharded(folder(), seed=10)
    api.upload_folder(folder_path=local, repo_id="acme/sharded", delete_patterns=["adapter*"])
    same("adapter.safetensors" in api.list_repo_files("acme/sharded"), False)


@step
def preupload():
    """Files uploaded one by one are committed together"""
    additions = [
        CommitOperationAdd(f"part-{i}.safetensors", weights(folder() / "w.safetensors", seed=20 + i).read_bytes())
        for i in range(2)
    ]
    for addition in additions:
        api.preupload_lfs_files(MODEL, additions=[addition])
    api.create_commit(MODEL, additions, commit_message="Two parts")
    same({"part-0.safetensors", "part-1.safetensors"} <= set(api.list_repo_files(MODEL)), True)


@step
def copy():
    """A file is copied inside its repository without being sent"""
    operation = CommitOperationCopy("part-0.safetensors", "copied/part.safetensors")
    api.create_commit(MODEL, [operation], commit_message="A copy")
    remote = fetched(MODEL)
    same(remote["copied/part.safetensors"], remote["part-0.safetensors"])


@step
def delete_file():
    """A file is deleted, and stays in earlier commits"""
    before = head()
    api.delete_file("part-0.safetensors", MODEL)
    raised(EntryNotFoundError, hf_hub_download, MODEL, "part-0.safetensors")
    hf_hub_download(MODEL, "part-0.safetensors", revision=before)


@step
def delete_folder():
    """A folder is deleted with all that is in it"""
    api.delete_folder("copied", MODEL)
    same([file for file in api.list_repo_files(MODEL) if file.startswith("copied/")], [])


@step
def add_and_delete():
    """A commit that adds and deletes does both or nothing"""
    renamed = weights(folder() / "w.safetensors", seed=21)
    operations = [CommitOperationDelete("part-1.safetensors"), CommitOperationAdd("renamed.safetensors", renamed)]
    api.create_commit(MODEL, operations, commit_message="Renamed")
    files = set(api.list_repo_files(MODEL))
    same(["part-1.safetensors" in files, "renamed.safetensors" in files], [False, True])


def change(seed, **options):
    addition = CommitOperationAdd("raced.safetensors", weights(folder() / "w.safetensors", seed=seed))
    return api.create_commit(MODEL, [addition], commit_message=f"Of seed {seed}", **options)


@step
def parent_commit():
    """A commit whose parent is no longer the last is a conflict, and changes nothing"""
    parent = head()
    after = change(30, parent_commit=parent).oid
    same(raised(HfHubHTTPError, change, 31, parent_commit=parent).response.status_code, 412)
    same(head(), after)


@step
def race():
    """Of commits with the same parent at the same time, one is taken"""
    parent, outcomes = head(), []

    def attempt(seed):
        try:
            outcomes.append(change(seed, parent_commit=parent).oid)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=attempt, args=(40 + i,)) for i in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    same(sorted(map(str, outcomes)), sorted([head(), "412", "412"]))


@step
def branches():
    """A branch is made, written to while main stays, listed and deleted"""
    main = head()
    api.create_branch(MODEL, branch="trial")
    raised(HfHubHTTPError, api.create_branch, MODEL, branch="trial")
    api.create_branch(MODEL, branch="trial", exist_ok=True)
    same(head(revision="trial"), main)
    oid = change(50, revision="trial").oid
    same([head(revision="trial"), head()], [oid, main])
    same("trial" in [branch.name for branch in api.list_repo_refs(MODEL).branches], True)
    api.delete_branch(MODEL, branch="trial")
    raised(RevisionNotFoundError, api.model_info, MODEL, revision="trial")


@step
def tags():
    """A tag names a commit, and is deleted"""
    first = api.list_repo_commits(MODEL)[-1].commit_id
    api.create_tag(MODEL, tag="first", revision=first)
    same(head(revision="first"), first)
    same("first" in [tag.name for tag in api.list_repo_refs(MODEL).tags], True)
    raised(HfHubHTTPError, api.create_tag, MODEL, tag="first")
    api.delete_tag(MODEL, tag="first")
    raised(RevisionNotFoundError, api.model_info, MODEL, revision="first")


@step
def model_card():
    """A model card is checked and pushed"""
    # Up to 1.x it is huggingface.co that checks a card, whatever HF_ENDPOINT says.
    if "https://huggingface.co/api" in inspect.getsource(ModelCard.validate):
        raise NotOffered
    card = ModelCard("---\nlicense: mit\ntags:\n- tested\n---\n# A card\n")
    card.push_to_hub(MODEL)
    same(ModelCard.load(MODEL).data.license, "mit")


@step
def upload_large_folder():
    """A large folder is uploaded in its own way, and comes back as it went"""
    upload = offered(getattr(api, "upload_large_folder", None))
    local = sharded(folder(), seed=60, shards=3)
    upload("acme/large-folder", folder_path=local, repo_type="model", print_report=False)
    remote = fetched("acme/large-folder")
    remote.pop(".gitattributes", None)
    same(remote, contents(local))


@step
def shared_bytes():
    """Bytes that a repository of the caller's holds are published in another"""
    local = sharded(folder(), seed=10)
    api.create_repo("acme/twin")
    api.upload_folder(folder_path=local, repo_id="acme/twin")
    same(fetched("acme/twin").keys() >= contents(local).keys(), True)


@step
def no_repository():
    """An upload to a repository that is not there says so"""
    addition = CommitOperationAdd("model.safetensors", weights(folder() / "w.safetensors"))
    raised(RepositoryNotFoundError, api.create_commit, "acme/none", [addition], commit_message="Nowhere")


@step
def delete_repository():
    """A repository is deleted by an admin, and is then not there"""
    same(raised(HfHubHTTPError, api.delete_repo, "acme/twin").response.status_code, 403)
    admin = HfApi(token=os.environ["ADMIN"])
    admin.delete_repo("acme/twin")
    raised(RepositoryNotFoundError, api.model_info, "acme/twin")
    raised(RepositoryNotFoundError, admin.delete_repo, "acme/twin")
    admin.delete_repo("acme/twin", missing_ok=True)


run()
