#!/usr/bin/env python3
"""What `cmake --install` and cpack give: complete, movable, and usable by other programs."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["MIMI_BUILD_DIR"]
SOURCE = os.environ["MIMI_SOURCE_DIR"]
PROGRAM = os.path.join(SOURCE, "tests", "install")
# A second is 13 frames of 1920 samples, the last one padded.
ROUNDTRIP = "104 codes, 24960 samples\n"


def build_type():
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search("^CMAKE_BUILD_TYPE:STRING=(.*)$", file.read(), re.MULTILINE)[1]


FILES = {
    "bin/mimi",
    "include/mimi/core/codec.h",
    "include/mimi/core/error.h",
    "include/mimi/core/token_file.h",
    f"lib/cmake/mimi/mimi-targets-{build_type().lower()}.cmake",
    "lib/cmake/mimi/mimi-targets.cmake",
    "lib/cmake/mimi/mimiConfig.cmake",
    "lib/cmake/mimi/mimiConfigVersion.cmake",
    "lib/libmimi.a",
    "lib/pkgconfig/mimi.pc",
    "share/bash-completion/completions/mimi",
    "share/doc/mimi/CHANGELOG.md",
    "share/doc/mimi/CONTRIBUTING.md",
    "share/doc/mimi/LICENSE-APACHE",
    "share/doc/mimi/LICENSE-MIT",
    "share/doc/mimi/README.md",
    "share/doc/mimi/SECURITY.md",
    "share/doc/mimi/cli/DATASET.md",
    "share/doc/mimi/core/FORMAT.md",
    "share/doc/mimi/mimi.spdx.json",
    "share/doc/mimi/model/MODEL_CARD.md",
    "share/doc/mimi/samples/README.md",
    "share/doc/mimi/scripts/read_mimi.py",
    "share/doc/mimi/scripts/slurm/tokenize.sbatch",
    "share/fish/vendor_completions.d/mimi.fish",
    "share/man/man1/mimi.1",
    "share/zsh/site-functions/_mimi",
}
DEBIAN_RENAMES = {
    "share/doc/mimi/CHANGELOG.md": "share/doc/mimi/changelog.gz",
    "share/man/man1/mimi.1": "share/man/man1/mimi.1.gz",
    "share/zsh/site-functions/_mimi": "share/zsh/vendor-completions/_mimi",
}
DEBIAN_FILES = {DEBIAN_RENAMES.get(name, name) for name in FILES} | {"share/doc/mimi/copyright"}


def run(*command, env=None):
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}"
    return result.stdout


def files_below(folder):
    return {
        os.path.relpath(os.path.join(path, name), folder)
        for path, _, names in os.walk(folder)
        for name in names
    }


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="mimi-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        first = os.path.join(cls.folder, "first")
        run("cmake", "--install", BUILD, "--prefix", first)
        # Moved: nothing may remember where it was installed to.
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(first, cls.prefix)

    def test_files(self):
        self.assertEqual(files_below(self.prefix), FILES)

    def test_links_of_documents(self):
        documents = os.path.join(self.prefix, "share", "doc", "mimi")
        for name in ("README.md", "SECURITY.md", "cli/DATASET.md", "core/FORMAT.md"):
            path = os.path.join(documents, name)
            with open(path, encoding="utf-8") as file:
                links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read())
            for link in links:
                with self.subTest(f"{name}: {link}"):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), link)))

    def test_version(self):
        version = run(os.path.join(self.prefix, "bin", "mimi"), "--version")
        self.assertRegex(version, r"^mimi \d+\.\d+\.\d+")

    def test_cmake_package(self):
        build = os.path.join(self.folder, "by-cmake")
        run("cmake", "-G", "Ninja", "-S", PROGRAM, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", build)
        self.assertEqual(run(os.path.join(build, "roundtrip")), ROUNDTRIP)

    def test_pkg_config(self):
        env = {"PKG_CONFIG_PATH": os.path.join(self.prefix, "lib", "pkgconfig")}
        flags = run("pkg-config", "--cflags", "--libs", "mimi", env=env).split()
        program = os.path.join(self.folder, "by-pkg-config")
        source = os.path.join(PROGRAM, "roundtrip.cpp")
        run(os.environ["CXX"], "-std=c++20", source, "-o", program, *flags)
        self.assertEqual(run(program), ROUNDTRIP)


class DebianPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="mimi-deb-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        config = os.path.join(BUILD, "CPackConfig.cmake")
        run("cpack", "-G", "DEB", "--config", config, "-B", cls.folder)
        (cls.deb,) = [
            os.path.join(cls.folder, name)
            for name in os.listdir(cls.folder)
            if name.endswith(".deb")
        ]

    def test_control(self):
        control = run("dpkg-deb", "--field", self.deb)
        fields = dict(re.findall(r"^([\w-]+): (.*)$", control, re.MULTILINE))
        self.assertEqual(fields["Package"], "mimi")
        self.assertEqual(
            fields["Architecture"], run("dpkg", "--print-architecture").strip()
        )
        depends = {entry.split()[0] for entry in fields["Depends"].split(",")}
        self.assertLessEqual({"libc6", "libcairo2", "libkissfft-float131", "libsndfile1", "libsamplerate0", "libstdc++6"}, depends)
        self.assertLessEqual(depends, self.linked_packages())

    @staticmethod
    def linked_packages():
        """As the bill of materials tells them."""
        with open(os.path.join(BUILD, "mimi.spdx.json"), encoding="utf-8") as file:
            bill = json.load(file)
        names = {package["SPDXID"]: package["name"] for package in bill["packages"]}
        return {
            names[relation["relatedSpdxElement"]]
            for relation in bill["relationships"]
            if relation["relationshipType"] == "DYNAMIC_LINK"
        }

    def test_contents(self):
        tree = os.path.join(self.folder, "tree")
        run("dpkg-deb", "--extract", self.deb, tree)
        usr = os.path.join(tree, "usr")
        self.assertEqual(files_below(tree), {f"usr/{name}" for name in DEBIAN_FILES})
        self.assertRegex(run(os.path.join(usr, "bin", "mimi"), "--version"), r"^mimi \d")


if __name__ == "__main__":
    unittest.main()
