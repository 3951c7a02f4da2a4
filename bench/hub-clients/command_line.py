"""The client's command: `hf`, before 0.34 `huggingface-cli`."""

import os
import pathlib
import subprocess
import sys

from huggingface_hub import HfApi

from steps import NotOffered, contents, folder, holds, run, same, sharded, step, weights

api = HfApi()
MODEL = "acme/from-a-shell"
SCRIPTS = pathlib.Path(sys.executable).parent
COMMAND = next(path for path in (SCRIPTS / "hf", SCRIPTS / "huggingface-cli") if path.exists())


UNKNOWN = 2  # what a shell command ends with that doesn't know a word


def ended(*words, cwd=None):
    command = [COMMAND, *map(str, words)]
    return subprocess.run(
        command, check=False, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def hf(*words, cwd=None):
    """What the command prints."""
    return first_of(words, cwd=cwd)


def first_of(*spellings, cwd=None):
    """What the command prints, in the first spelling that this version knows."""
    for words in spellings:
        done = ended(*words, cwd=cwd)
        if done.returncode == 0:
            return done.stdout + done.stderr
        if done.returncode != UNKNOWN:
            said = (done.stdout + done.stderr)[-2000:]
            raise AssertionError(f"hf {words} ended with {done.returncode}: {said}")
    raise NotOffered


@step
def hf_whoami():
    """`hf auth whoami` tells whose the token is"""
    holds("acme", first_of(("auth", "whoami"), ("whoami",)))


@step
def hf_create():
    """`hf repos create` makes a repository"""
    made = "acme/made-in-a-shell"
    old = ("repo", "create", "made-in-a-shell", "--organization", "acme", "--yes")
    first_of(("repos", "create", made), old, ("repo", "create", made))
    same(api.repo_exists(made), True)


@step
def hf_upload():
    """`hf upload` makes the repository and puts a folder in it"""
    local = sharded(folder(), seed=70)
    holds(MODEL, hf("upload", MODEL, ".", ".", cwd=local))
    same({file for file in api.list_repo_files(MODEL) if file != ".gitattributes"}, set(contents(local)))


@step
def hf_upload_file():
    """`hf upload` puts one file where it is told"""
    local = weights(folder() / "one.safetensors", seed=71)
    hf("upload", MODEL, local, "sub/one.safetensors")
    same(api.file_exists(MODEL, "sub/one.safetensors"), True)


@step
def hf_upload_revision():
    """`hf upload --revision` makes a branch and leaves main"""
    local = weights(folder() / "two.safetensors", seed=72)
    hf("upload", MODEL, local, "two.safetensors", "--revision", "trial")
    same([api.file_exists(MODEL, "two.safetensors", revision=r) for r in ("trial", "main")], [True, False])


WHERE = folder()


@step
def hf_download():
    """`hf download` fetches a repository"""
    hf("download", MODEL, "--local-dir", WHERE)
    local = contents(sharded(folder(), seed=70))
    same({path: file for path, file in contents(WHERE).items() if path in local}, local)


@step
def hf_download_file():
    """`hf download` tells where a file lies in the cache"""
    holds("config.json", hf("download", MODEL, "config.json"))


@step
def hf_cache_verify():
    """`hf cache verify` finds what was downloaded right, and what was changed wrong"""
    command = ("cache", "verify", MODEL, "--local-dir", WHERE)
    hf(*command, "--fail-on-missing-files")
    (WHERE / "sub/one.safetensors").write_bytes(b"other")
    same(ended(*command).returncode, 1)


@step
def hf_upload_large_folder():
    """`hf upload-large-folder` puts a folder in a repository"""
    local = sharded(folder(), seed=73)
    hf("upload-large-folder", "acme/large-from-a-shell", local, "--repo-type", "model", "--no-report")
    same(set(contents(local)) <= set(api.list_repo_files("acme/large-from-a-shell")), True)


@step
def hf_delete():
    """`hf repos delete` deletes a repository, with an admin's token"""
    made = ("acme/made-in-a-shell", "--token", os.environ["ADMIN"])
    first_of(("repos", "delete", *made, "--yes"), ("repos", "delete", *made), ("repo", "delete", *made))
    same(api.repo_exists(made[0]), False)


run()
