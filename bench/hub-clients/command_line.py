"""The client's command: `hf`, before 0.34 `huggingface-cli`."""

import pathlib
import subprocess
import sys

from huggingface_hub import HfApi

from steps import NotOffered, contents, folder, holds, run, same, sharded, step, weights

api = HfApi()
MODEL = "acme/from-a-shell"
SCRIPTS = pathlib.Path(sys.executable).parent
COMMAND = next(path for path in (SCRIPTS / "hf", SCRIPTS / "huggingface-cli") if path.exists())


def ended(*words, cwd=None):
    return subprocess.run([COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=60)


def hf(*words, cwd=None):
    done = ended(*words, cwd=cwd)
    if done.returncode != 0:
        raise AssertionError(f"hf {words} ended with {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def offered(*spellings):
    """The command as this version spells it, and its help."""
    for words in spellings:
        done = ended(*words, "--help")
        if done.returncode == 0:
            return words, done.stdout
    raise NotOffered


@step
def hf_whoami():
    """`hf auth whoami` tells whose the token is"""
    holds("acme", hf(*offered(("auth", "whoami"), ("whoami",))[0]))


@step
def hf_create():
    """`hf repos create` makes a repository"""
    words, usage = offered(("repos", "create"), ("repo", "create"))
    hf(*words, "acme/made-in-a-shell", *(["--yes"] if "--yes" in usage else []))
    same(api.repo_exists("acme/made-in-a-shell"), True)


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


@step
def hf_download():
    """`hf download` fetches a repository"""
    where = folder()
    hf("download", MODEL, "--local-dir", where)
    local = contents(sharded(folder(), seed=70))
    same({path: file for path, file in contents(where).items() if path in local}, local)


@step
def hf_download_file():
    """`hf download` prints where a file lies in the cache"""
    printed = hf("download", MODEL, "config.json")
    holds("config.json", printed)


@step
def hf_cache_verify():
    """`hf cache verify` finds what was downloaded right, and what was changed wrong"""
    words, _ = offered(("cache", "verify"))
    where = folder()
    hf("download", MODEL, "--local-dir", where)
    hf(*words, MODEL, "--local-dir", where, "--fail-on-missing-files")
    (where / "sub/one.safetensors").write_bytes(b"other")
    same(ended(*words, MODEL, "--local-dir", where).returncode, 1)


@step
def hf_upload_large_folder():
    """`hf upload-large-folder` puts a folder in a repository"""
    words, _ = offered(("upload-large-folder",))
    local = sharded(folder(), seed=73)
    hf(*words, "acme/large-from-a-shell", local, "--repo-type", "model", "--no-report")
    same(set(contents(local)) <= set(api.list_repo_files("acme/large-from-a-shell")), True)


@step
def hf_delete():
    """`hf repos delete` deletes a repository"""
    words, usage = offered(("repos", "delete"), ("repo", "delete"))
    hf(*words, "acme/made-in-a-shell", *(["--yes"] if "--yes" in usage else []))
    same(api.repo_exists("acme/made-in-a-shell"), False)


run()
