"""What a reader does: the server holds what fill.ts published, and FOLDER/published the same files."""

import os
import pathlib

from huggingface_hub import (
    HfApi,
    HfFileSystem,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.numpy import load_file

from steps import (
    FOLDER,
    contents,
    folder,
    holds,
    offered,
    raised,
    read,
    run,
    same,
    step,
)

api = HfApi()
MODEL = "acme/model"
PUBLISHED = {version: contents(FOLDER / "published" / version) for version in ("1.0", "2.0")}
ADAPTER = "adapter/adapter_model.safetensors"


@step
def snapshot():
    """A snapshot holds the files of the last version, byte for byte"""
    same(contents(pathlib.Path(snapshot_download(MODEL))), PUBLISHED["2.0"])


@step
def snapshot_again():
    """A snapshot that is already there is taken from the cache, file by file"""
    first, second = (pathlib.Path(snapshot_download(MODEL)) for _ in range(2))
    same(first, second)
    same(first.name, api.model_info(MODEL).sha)


@step
def snapshot_filtered():
    """Patterns choose what a snapshot holds"""
    where = folder()
    snapshot_download(MODEL, local_dir=where, allow_patterns=["*.json"])
    same(sorted(contents(where)), ["config.json", "model.safetensors.index.json"])


@step
def revisions():
    """A version, a tag, main and a commit are revisions to download from"""
    commit = api.model_info(MODEL, revision="1.0").sha
    for revision, version in (("1.0", "1.0"), ("stable", "1.0"), (commit, "1.0"), ("main", "2.0")):
        path = hf_hub_download(MODEL, "config.json", revision=revision)
        same(read(path), PUBLISHED[version]["config.json"])


@step
def local_dir():
    """A download into a folder of the user's is what was published, and is not fetched again"""
    where = folder()
    path = hf_hub_download(MODEL, ADAPTER, local_dir=where)
    modified = os.stat(path).st_mtime_ns
    same(contents(where), {ADAPTER: PUBLISHED["2.0"][ADAPTER]})
    hf_hub_download(MODEL, ADAPTER, local_dir=where)
    same(os.stat(path).st_mtime_ns, modified)


@step
def force_download():
    """A forced download fetches the bytes again"""
    path = hf_hub_download(MODEL, ADAPTER, force_download=True)
    same(read(path), PUBLISHED["2.0"][ADAPTER])


@step
def load_tensors():
    """Tensors of a downloaded file load"""
    path = hf_hub_download("acme/single", "model.safetensors")
    same(load_file(path)["adapter.weight"].shape, (64, 64))


@step
def model_info():
    """Model info names every file with its size and hash, and counts the parameters"""
    info = api.model_info(MODEL, files_metadata=True)
    same(info.id, MODEL)
    same({file.rfilename: file.size for file in info.siblings}, sizes_of("2.0"))
    same(info.safetensors.total, 3 * 4096)
    same(dict(info.safetensors.parameters), {"F32": 3 * 4096})


def sizes_of(version):
    return {path: len(file) for path, file in PUBLISHED[version].items()}


@step
def tree():
    """The tree of a repository shows its files and folders"""
    entries = list(api.list_repo_tree(MODEL, recursive=True))
    same({e.path: e.size for e in entries if hasattr(e, "size")}, sizes_of("2.0"))
    same([e.path for e in entries if not hasattr(e, "size")], ["adapter"])
    same([e.path for e in api.list_repo_tree(MODEL, "adapter")], [ADAPTER])


@step
def list_files():
    """The list of files is that of the revision"""
    same(sorted(api.list_repo_files(MODEL, revision="stable")), sorted(PUBLISHED["1.0"]))


@step
def paths_info():
    """Infos of paths leave out those that are not there"""
    infos = api.get_paths_info(MODEL, ["config.json", "adapter", "nothing.json"])
    same(sorted(info.path for info in infos), ["adapter", "config.json"])


@step
def exists():
    """Whether a repository, a revision and a file exist is told"""
    same([api.repo_exists(MODEL), api.repo_exists("acme/none")], [True, False])
    same([api.revision_exists(MODEL, "stable"), api.revision_exists(MODEL, "none")], [True, False])
    same([api.file_exists(MODEL, ADAPTER), api.file_exists(MODEL, "none")], [True, False])


@step
def refs():
    """Branches and tags of a repository are listed"""
    found = api.list_repo_refs(MODEL)
    holds("main", [branch.name for branch in found.branches])
    holds("stable", [ref.name for ref in [*found.branches, *found.tags]])


@step
def commits():
    """Versions of a repository are its commits, the last first"""
    ids = [commit.commit_id for commit in api.list_repo_commits(MODEL)]
    same(ids, [api.model_info(MODEL, revision=version).sha for version in ("2.0", "1.0")])


@step
def list_models():
    """Models are listed by owner, and only those that the token may see"""
    same(sorted(model.id for model in api.list_models(author="acme")), ["acme/model", "acme/single"])
    same(list(api.list_models(author="hidden")), [])


@step
def whoami():
    """A token knows whose it is, and what it may read"""
    same(api.whoami()["name"], "acme")
    api.auth_check(MODEL)


@step
def auth_check_write():
    """A reader's token is told that it may not write"""
    reader = HfApi(token=os.environ["READER"])
    raised(HfHubHTTPError, offered(reader.auth_check, "write"), MODEL, write=True)


@step
def file_system():
    """HfFileSystem lists, opens and reads ranges"""
    fs = HfFileSystem()
    same(sorted(fs.ls(MODEL, detail=False))[0], f"{MODEL}/README.md")
    with fs.open(f"{MODEL}@1.0/{ADAPTER}", "rb") as file:
        file.seek(1000)
        same(file.read(500), PUBLISHED["1.0"][ADAPTER][1000:1500])


@step
def safetensors_metadata():
    """The metadata of a sharded model is read from its headers alone"""
    found = api.get_safetensors_metadata(MODEL)
    same(found.sharded, True)
    same(sorted(found.weight_map), ["embedding.weight", "head.weight"])
    same(api.get_safetensors_metadata("acme/single").parameter_count, {"F32": 4096})


@step
def sharded_metadata_at_once():
    """The metadata of all shards is had in one request"""
    at_once = offered(getattr(api, "get_sharded_safetensors_metadata", None))
    same(at_once(MODEL).weight_map, api.get_safetensors_metadata(MODEL).weight_map)


@step
def metadata_of_file():
    """The headers of a file tell its size, its hash and its commit"""
    found = api.get_hf_file_metadata(url=hf_hub_url(MODEL, ADAPTER))
    same(found.size, len(PUBLISHED["2.0"][ADAPTER]))
    same(found.commit_hash, api.model_info(MODEL).sha)


@step
def verify_checksums():
    """What is on disk is checked against the repository's hashes"""
    verify = offered(getattr(api, "verify_repo_checksums", None))
    where = folder()
    snapshot_download(MODEL, local_dir=where)
    same(list(verify(MODEL, local_dir=where).mismatches), [])
    (where / "config.json").write_text("{}")
    same([mismatch["path"] for mismatch in verify(MODEL, local_dir=where).mismatches], ["config.json"])


@step
def missing_file():
    """A file that is not there is an EntryNotFoundError"""
    raised(EntryNotFoundError, hf_hub_download, MODEL, "none.safetensors")


@step
def missing_repository():
    """A repository that is not there is a RepositoryNotFoundError"""
    raised(RepositoryNotFoundError, hf_hub_download, "acme/none", "config.json")
    raised(RepositoryNotFoundError, api.model_info, "acme/none")


@step
def missing_revision():
    """A revision that is not there is a RevisionNotFoundError"""
    raised(RevisionNotFoundError, hf_hub_download, MODEL, "config.json", revision="none")
    raised(RevisionNotFoundError, api.model_info, MODEL, revision="feature/none")


@step
def hidden_repository():
    """A repository beyond a token's scope looks like one that is not there"""
    raised(RepositoryNotFoundError, hf_hub_download, "hidden/model", "model.safetensors")
    raised(RepositoryNotFoundError, api.model_info, "hidden/model")


@step
def no_token():
    """Without a token nothing is there"""
    raised(RepositoryNotFoundError, api.model_info, MODEL, token=False)
    raised(RepositoryNotFoundError, hf_hub_download, MODEL, "config.json", token=False, cache_dir=folder())


@step
def bad_token():
    """A token that the registry does not know is refused"""
    raised(HfHubHTTPError, api.model_info, MODEL, token="hf_sr_of-nobody")


@step
def gated():
    """A role that may describe but not read gets a GatedRepoError"""
    auditor = os.environ["AUDITOR"]
    same(api.model_info(MODEL, token=auditor).id, MODEL)
    raised(GatedRepoError, hf_hub_download, MODEL, ADAPTER, token=auditor, cache_dir=folder())


@step
def prefixed_token():
    """A token with the prefix that some clients insist on is the same token"""
    same(api.model_info(MODEL, token="hf_" + os.environ["HF_TOKEN"]).id, MODEL)


run()
