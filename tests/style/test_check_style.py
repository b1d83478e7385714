#!/usr/bin/python3
"""The style check finds what it should: bad snippets must be reported, good ones must not."""
import unittest

import check_docs
import check_style

TOP = "/*\n * x: a file of this test.\n */\n"


def c_faults(body, name="engine/x.c"):
    return check_style.check_c(name, TOP + body)


def include_faults(name, line):
    return check_style.check_includes(name, TOP + line + "\n", lambda h: "/" in h)


class OneFile(unittest.TestCase):
    def found(self, faults, words):
        self.assertTrue(any(words in f for f in faults), faults)

    def test_clean_file(self):
        self.assertEqual(c_faults("static int slr_x_next(int a)\n{\n    return a;\n}\n"), [])

    def test_long_line(self):
        self.found(c_faults("int " + "a" * 100 + ";\n"), "columns")

    def test_tab_and_trailing_blank(self):
        self.found(c_faults("\tint a;\n"), "tab")
        self.found(c_faults("int a; \n"), "blank at the end")

    def test_no_newline(self):
        self.found(c_faults("int a;"), "no newline")

    def test_long_file(self):
        self.found(c_faults("int a;\n" * 801), "at most 800")
        self.found(c_faults("int a;\n" * 201, "engine/x.h"), "at most 200")

    def test_no_top_comment(self):
        self.found(check_style.check_c("engine/x.c", "int a;\n"), "top")

    def test_guard(self):
        self.found(c_faults("int a;\n", "engine/x.h"), "guard")
        self.assertEqual(c_faults("#ifndef SLR_ENGINE_X_H\n#define SLR_ENGINE_X_H\n#endif\n", "engine/x.h"), [])

    def test_banned_calls(self):
        for call in ("strcpy(a, b)", "sprintf (a, b)", "atoi(a)", "rand()", "alloca(3)", "strtok(a, b)"):
            self.found(c_faults(f"int f(void)\n{{\n    {call};\n}}\n"), "not used here")

    def test_calls_that_only_look_banned(self):
        for call in ("my_strcpy(a)", "x->rand(a)", "t.system(a)", "snprintf(a)", "strtok_r(a)"):
            self.assertEqual(c_faults(f"int f(void)\n{{\n    {call};\n}}\n"), [])
        self.assertEqual(c_faults("/* never strcpy(a, b) */\nconst char *t = \"gets(x)\";\n"), [])

    def test_daemons_start_no_shell(self):
        body = "int f(void)\n{\n    system(a);\n}\n"
        self.found(c_faults(body, "ctl/x.c"), "shell")
        self.assertEqual(c_faults(body, "ctl/slrctl_x.c"), [])
        self.assertEqual(c_faults(body, "bench/x.c"), [])

    def test_percent_n(self):
        self.found(c_faults('const char *t = "%d%n";\n'), "%n")
        self.assertEqual(c_faults('const char *t = "100%%n %name";\n'), [])

    def test_words(self):
        for word in ("FIX" + "ME", "TO" + "DO", "XX" + "X"):
            self.found(check_style.check_words("a", f"line\n/* {word}: later */"), "a:2: unfinished")
        self.assertEqual(check_style.check_words("a", 'mkstemp("slr-XX' + 'XXXX")'), [])

    def test_places(self):
        self.found(check_style.check_words("a", "see /wo" + "rk/main"), "outside the project")


class Functions(unittest.TestCase):
    def lengths(self, text):
        return [length for _, length in check_style.functions(text)]

    def test_counts_bodies_only(self):
        text = "struct a {\n    int b;\n};\nstatic const int c[] = {\n    1,\n};\nint f(void)\n{\n    return 1;\n}\n"
        self.assertEqual(self.lengths(text), [3])

    def test_braces_in_strings_comments_and_macros(self):
        text = ('#define M(x) \\\n    do { \\\n    } while (0)\nint f(void)\n{\n    /* { */ // {\n'
                '    g("{", \'{\');\n}\nint h(int (*k)(void))\n{\n}\n')
        self.assertEqual(self.lengths(text), [4, 2])

    def test_alternatives_of_the_preprocessor(self):
        text = "#ifdef A\nint f(void)\n{\n#else\nint f(int a)\n{\n#endif\n    return 1;\n}\nint g(void)\n{\n}\n"
        self.assertEqual(self.lengths(text), [7, 2])

    def test_too_long(self):
        body = "int f(void)\n{\n" + "    g();\n" * 69 + "}\n"
        self.assertTrue(any("function of 71 lines" in f for f in c_faults(body)))
        self.assertEqual(c_faults(body.replace("    g();\n", "", 1)), [])


class DependencyLaw(unittest.TestCase):
    def test_forbidden(self):
        for name, line in (
                ("common/x.c", '#include "codecs/codec.h"'), ("codecs/x.c", '#include "storage/sink.h"'),
                ("capture/x.c", '#include "codecs/codec.h"'), ("storage/x.c", '#include "engine/x.h"'),
                ("ctl/x.c", '#include "engine/x.h"'), ("ctl/x.c", '#include "codecs/codec.h"'),
                ("ctl/x.c", '#  include "capture/capture.h"'), ("engine/x.c", '#include "ctl/x.h"'),
                ("engine/x.c", "#include <sqlite3.h>"), ("engine/x.c", "#include <expat.h>"),
                ("engine/x.c", "#include <sofia-sip/nta.h>"), ("engine/x.c", "#include <microhttpd.h>"),
                ("ctl/x.c", "#include <liburing.h>"), ("ctl/x.c", "#include <pcap/pcap.h>"),
                ("tests/ctl/test_x.c", '#include "engine/x.h"')):
            self.assertEqual(len(include_faults(name, line)), 1, (name, line))

    def test_allowed(self):
        for name, line in (
                ("engine/x.c", '#include "codecs/codec.h"'), ("ctl/x.c", '#include "storage/sink.h"'),
                ("ctl/x.c", "#include <sqlite3.h>"), ("capture/x.c", "#include <pcap.h>"),
                ("tests/ctl/test_x.c", '#include "ctl/x.h"'), ("tests/fuzz/fuzz_x.c", '#include "ctl/x.h"'),
                ("engine/x.c", '/* #include "ctl/x.h" */')):
            self.assertEqual(include_faults(name, line), [], (name, line))

    def test_path_must_be_rooted(self):
        self.assertEqual(len(check_style.check_includes("ctl/x.c", '#include "x.h"\n', lambda h: False)), 1)

    def test_one_file_sees_a_library(self):
        texts = {"capture/a.c": "#include <liburing.h>\n", "capture/b.c": "#include <liburing.h>\n"}
        self.assertEqual(len(check_style.check_library_owners(texts)), 1)
        del texts["capture/b.c"]
        self.assertEqual(check_style.check_library_owners(texts), [])


class Fuzz(unittest.TestCase):
    def test_target_and_corpus_belong_together(self):
        self.assertEqual(len(check_style.check_fuzz(["tests/fuzz/fuzz_a.c"], {})), 1)
        self.assertEqual(len(check_style.check_fuzz(["tests/fuzz/corpus/a/1"], {})), 1)
        self.assertEqual(check_style.check_fuzz(["tests/fuzz/fuzz_a.c", "tests/fuzz/corpus/a/1"], {}), [])

    def test_every_parser_has_a_target(self):
        texts = {"ctl/x.h": "bool slr_x_parse(struct slr_slice s,\n                 int *out);\n"}
        self.assertEqual(len(check_style.check_fuzz([], texts)), 1)
        texts["tests/fuzz/fuzz_x.c"] = "slr_x_parse(s, &out);"
        names = ["tests/fuzz/fuzz_x.c", "tests/fuzz/corpus/x/1"]
        self.assertEqual(check_style.check_fuzz(names, texts), [])


class Documents(unittest.TestCase):
    def test_links(self):
        known = {"docs/a.md"}.__contains__
        self.assertEqual(check_docs.check_links("docs/b.md", "[a](a.md#x) [w](https://x.example/)", known), [])
        self.assertEqual(len(check_docs.check_links("docs/b.md", "[a](c.md)", known)), 1)

    def test_named_tests(self):
        files = {"tests/e2e/test_a.py": "def test_one():\n"}
        for text, faults in (("`tests/e2e/test_a.py`", 0), ("`tests/e2e/test_a.py::test_one`", 0),
                             ("`tests/e2e/test_a.py::test_two`", 1), ("`tests/e2e/test_b.py`", 1)):
            self.assertEqual(len(check_docs.check_tests("docs/f.md", text, files.get)), faults, text)

    def test_help_of_a_program_that_is_not_built(self):
        text = "<!-- help: slr -->\n<!-- end -->"
        self.assertEqual(check_docs.update_help(text, "/nonexistent"), (text, ["slr"]))


if __name__ == "__main__":
    unittest.main()
