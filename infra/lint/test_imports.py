"""Plants imports in copies of the API's sources, and sees to it that the lint names those
that go round in circles or to a higher layer.
"""

import shutil
import tempfile
import unittest
from pathlib import Path

import imports

HERE = Path(__file__).parent
INFRA = HERE.parent

# What is added to a file of the API, and all that is said about its imports then.
IMPORTED = [
    (
        "a use of a higher layer",
        "http/error.rs", "use crate::page::HOME;",
        ["http/error.rs:1: crate::page::HOME is in a layer above http: page"],
    ),
    (
        "a path to a higher layer",
        "auth/jwks.rs", "fn all() -> Vec<crate::runs::view::RunView> { vec![] }",
        ["auth/jwks.rs:1: crate::runs::view::RunView is in a layer above auth: runs"],
    ),
    (
        "a path in an attribute",
        "setting.rs", '#[serde(with = "crate::page::words::time")]',
        ["setting.rs:1: crate::page::words::time is in a layer above setting: page"],
    ),
    (
        "what the root defines",
        "page/words.rs", "use crate::router;",
        ["page/words.rs:1: crate::router is in a layer above page: the root"],
    ),
    (
        "two files that use each other",
        "page/frame.rs", "use super::notice::{self as message}; type Message = message::Notice;",
        ["2 files in a circle of imports: page/frame.rs page/notice.rs"],
    ),
    (
        "a child that uses what its parent defines",
        "auth/session.rs", "fn of(sign_in: &super::SignIn) {}",
        ["2 files in a circle of imports: auth/mod.rs auth/session.rs"],
    ),
    (
        "everything of the parent",
        "auth/session.rs", "use super::*;",
        ["2 files in a circle of imports: auth/mod.rs auth/session.rs"],
    ),
    ("what a parent hands on", "page/words.rs", "use super::Frame;", []),
    ("a test", "http/error.rs", "#[cfg(test)] mod more { use crate::page::HOME; }", []),
    ("a comment", "http/error.rs", "// use crate::page::HOME;", []),
    ("a text", "http/error.rs", 'const A: &str = "use crate::page::HOME;";', []),
    ("a word of the language", "http/error.rs", "fn f() -> impl Fn() + use<> { crate::page::HOME }", [
        "http/error.rs:1: crate::page::HOME is in a layer above http: page",
    ]),
    (
        "a module without a layer",
        "lib.rs", "mod extra {}",
        ["api.txt: extra is in no layer"],
    ),
]


class Imports(unittest.TestCase):
    def test_planted(self):
        listed = HERE / "layers" / "api.txt"
        source = INFRA.parent / "functions" / "api" / "src"
        self.assertEqual(imports.judged(source, listed)[0], [])
        for name, file, line, wanted in IMPORTED:
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                copy = Path(shutil.copytree(source, Path(folder) / "src"))
                planted = copy / file
                planted.write_text(f"{line}\n{planted.read_text()}")
                said = imports.judged(copy, listed)[0]
                # Of a circle the first line is enough, and of a path its end.
                for complaint in wanted:
                    self.assertTrue(any(text.endswith(complaint) for text in said), said)
                if not wanted:
                    self.assertEqual(said, [])


if __name__ == "__main__":
    unittest.main()
