"""Times of one operation of the client, in seconds, its imports aside: `upload FILE REPO` or `download REPO FOLDER`."""

import sys
import time

from huggingface_hub import HfApi, hf_hub_download

api = HfApi()
operation, *arguments = sys.argv[1:]

if operation == "upload":
    path, repo = arguments
    api.create_repo(repo, exist_ok=True)
    began = time.monotonic()
    api.upload_file(path_or_fileobj=path, path_in_repo="model.safetensors", repo_id=repo)
else:
    repo, folder = arguments
    began = time.monotonic()
    hf_hub_download(repo, "model.safetensors", local_dir=folder)
print(time.monotonic() - began)
