"""What is refused, and what a user reads then."""

import io
import json
import os
import pickle
import zipfile

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from steps import Heard, folder, holds, raised, run, same, step, weights

api = HfApi()
MODEL = "acme/refusing"
PICKLE = pickle.dumps({"weights": list(range(1000))}, protocol=2)


def push(path, content):
    api.create_commit(MODEL, [CommitOperationAdd(path, content)], commit_message=f"Add {path}")


def refused(path, content, *words):
    """A commit of it changes nothing, and its error holds the words."""
    before = api.model_info(MODEL).sha
    error = raised(HfHubHTTPError, push, path, content)
    same(error.response.status_code // 100, 4)
    for word in words:
        holds(word, str(error))
    same(api.model_info(MODEL).sha, before)


@step
def setup():
    """A repository takes safetensors and what goes with them"""
    api.create_repo(MODEL)
    push("model.safetensors", weights(folder() / "w.safetensors").read_bytes())


@step
def pickle_as_safetensors():
    """A pickle under a safetensors name is refused before it is sent, and its user reads why"""
    refused("other.safetensors", PICKLE, "pickle")


@step
def pickle_as_data():
    """A pickle under an innocent name is refused, and its user reads why"""
    refused("weights.dat", PICKLE, "pickle")


@step
def torch_archive():
    """A torch archive under an innocent name is refused"""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", PICKLE)
        archive.writestr("model/version", "3")
    refused("other.safetensors", file.getvalue(), "safetensors")


heard = Heard()


@step
def left_out():
    """training_args.bin and other known pickles are left out of a push"""
    local = folder()
    weights(local / "pushed.safetensors", seed=2)
    for name in ("training_args.bin", "optimizer.pt"):
        (local / name).write_bytes(PICKLE)
    api.upload_folder(folder_path=local, repo_id=MODEL)
    files = api.list_repo_files(MODEL)
    same(["pushed.safetensors" in files, "training_args.bin" in files], [True, False])


@step
def left_out_told():
    """Whoever pushes is told what was left out"""
    heard.hears("training_args.bin")


@step
def code():
    """Python code is refused, and its user reads why"""
    refused("modeling_custom.py", b"import os\n", ".py")


@step
def broken_safetensors():
    """Safetensors that are not valid are refused, and its user reads why"""
    whole = weights(folder() / "w.safetensors", seed=5).read_bytes()
    refused("truncated.safetensors", whole[:-4], "truncated.safetensors")


@step
def broken_index():
    """An index that names a shard that is not there is refused"""
    index = {"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}
    refused("model.safetensors.index.json", json.dumps(index).encode(), "model-00001-of-00001.safetensors")


@step
def broken_json():
    """A configuration that is not JSON is refused"""
    refused("config.json", b"{broken", "config.json")


@step
def large_sidecar():
    """A configuration beyond the limit is refused"""
    refused("config.json", json.dumps({"a": "x" * (33 * 1024 * 1024)}).encode(), "config.json")


@step
def all_or_nothing():
    """One bad file among good ones, and nothing of the commit is there"""
    local = folder()
    weights(local / "good.safetensors", seed=6)
    (local / "bad.json").write_text("{")
    raised(HfHubHTTPError, api.upload_folder, folder_path=local, repo_id=MODEL)
    same("good.safetensors" in api.list_repo_files(MODEL), False)


@step
def reader():
    """A reader's token writes nothing, and its user reads why"""
    addition = CommitOperationAdd("config.json", b"{}")
    api_of_reader = HfApi(token=os.environ["READER"])
    error = raised(HfHubHTTPError, api_of_reader.create_commit, MODEL, [addition], commit_message="Not mine")
    same(error.response.status_code, 403)
    raised(HfHubHTTPError, api_of_reader.create_repo, "acme/of-a-reader")


@step
def out_of_scope():
    """A writer makes nothing beyond the token's scope"""
    raised(HfHubHTTPError, api.create_repo, "hidden/of-acme")


@step
def pull_request():
    """A pull request is refused: there are none here"""
    addition = CommitOperationAdd("config.json", b"{}")
    raised(HfHubHTTPError, api.create_commit, MODEL, [addition], commit_message="A request", create_pr=True)


run()
