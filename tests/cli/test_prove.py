"""``vgic prove``: what it prints, how it ends, and the replay of what it prints."""

import json
import re
import shlex
import signal

QUICK = ("--preemptions", "1", "--seconds", "1200")


def test_nothing_found_is_status_0_and_says_what_was_explored(vgic_command):
    done = vgic_command("prove", "--design", "v6.8-rc1", "--scenario", "send_vs_discard", *QUICK)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^v6.8-rc1 +proved to 1 ", done.stdout, re.MULTILINE)
    assert "interleavings" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 searched, 0 with a violation, 1 proved to their bound"


def test_a_violation_is_status_1_and_its_story_can_be_replayed(vgic_command):
    done = vgic_command("prove", "--design", "v6.7", "--scenario", "send_vs_discard", *QUICK)
    assert done.returncode == 1
    (replay,) = re.findall(r"^ *replay: vgic (.*)$", done.stdout, re.MULTILINE)
    story = done.stdout[done.stdout.index("use after free") : done.stdout.index("  replay:")]
    again = vgic_command(*shlex.split(replay))
    assert again.returncode == 1
    assert story in again.stdout
    full = vgic_command(*shlex.split(replay), "--full")
    assert len(full.stdout.splitlines()) > len(again.stdout.splitlines())


def test_a_schedule_that_does_not_fit_is_status_2(vgic_command):
    """Another execution than the one asked for would say nothing of it."""

    def replay(scenario, design, schedule):
        return vgic_command("prove", "--scenario", scenario, "--design", design, "--replay", schedule)

    # Choices that fit, and violate nothing.
    done = replay("send_vs_discard", "v6.7", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "nothing is violated in this schedule\n"
    for scenario, design, schedule, why in (
        ("send_vs_discard", "v6.7", "1:1", "there is no choice of a thread at step 1"),
        ("send_vs_discard", "v6.7", "99999:1", "there is no choice of a thread at step 99999"),
        ("send_vs_discard", "v6.7", "7/-", "the scenario does not draw the operations that it names"),
    ):
        done = replay(scenario, design, schedule)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"vgic: error: the schedule is not one of {scenario} in {design} with seed 1: {why}\n"
    # One of another design, in which there are other steps.
    found = vgic_command("prove", "--design", "v6.17", "--scenario", "prune_vs_lpi_disable", "--seconds", "600")
    (schedule,) = re.findall(r"--replay (\S+)$", found.stdout, re.MULTILINE)
    assert replay("prune_vs_lpi_disable", "v6.17", schedule).returncode == 1
    done = replay("prune_vs_lpi_disable", "v6.8-rc1", schedule)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the schedule is not one of prune_vs_lpi_disable in v6.8-rc1 with seed 1: " in done.stderr


def test_a_catalogue_whose_searches_were_cut_short_is_not_as_it_should_be(vgic_command):
    """In no time at all nothing is found, and nothing is shown to be absent."""
    done = vgic_command("prove", "--history", "--seconds", "0.0000001", "--json", "x.json")
    assert (done.returncode, done.stderr) == (1, "")
    text = " ".join(done.stdout.split())
    assert "CUT SHORT" in text
    assert "WRONG" not in text
    assert " ok " not in text
    assert "0 interleavings" in text
    assert "cut short, so that they say nothing (more with --seconds): searches of CVE-2024-26598, " in text


def test_a_search_cut_short_does_not_say_proved(vgic_command):
    done = vgic_command("prove", "--scenario", "send_vs_movi", "--preemptions", "4", "--seconds", "0.2")
    assert done.returncode == 0
    body, summary = done.stdout.rsplit("\n\n", 1)
    assert "proved" not in body
    assert "cut short" in " ".join(body.split())
    assert "0 proved to their bound, 1 not finished" in summary


def test_json_has_everything(vgic_command, tmp_path):
    arguments = ("prove", "--design", "v6.7", "--scenario", "send_vs_discard", *QUICK)
    done = vgic_command(*arguments, "--json", "x.json")
    (proof,) = json.loads((tmp_path / "x.json").read_text())["proofs"]
    assert proof["verdict"].removeprefix("VIOLATION: ") in done.stdout
    assert proof["stories"][0]["schedule"] in done.stdout
    assert proof["plan"]["preemptions"] == 1
    to_stdout = vgic_command(*arguments, "--json", "-")
    assert to_stdout.returncode == 1
    (same,) = json.loads(to_stdout.stdout)["proofs"]
    for one in (same, proof):
        one["seconds"] = one["stories"][0]["found_seconds"] = 0
    assert same == proof


def test_the_list_names_every_scenario(vgic_command):
    done = vgic_command("prove", "--list")
    listed = [line for line in done.stdout.splitlines() if re.fullmatch(r"[a-z_]+", line)]
    assert "send_vs_discard" in listed
    assert [entry["name"] for entry in json.loads(vgic_command("prove", "--list", "--json", "-").stdout)] == listed


def test_bad_input_is_one_line_and_status_2(vgic_command):
    for arguments, what in (
        (("--scenario", "send_vs_discart"), "did you mean send_vs_discard"),
        (("--design", "v6.11"), "unknown design 'v6.11'"),
        (("--preemptions", "9"), "preemptions: 9 is out of range 0 to 8"),
        (("--seconds", "0"), "seconds: 0 is out of range, above 0 to 86400"),
        (("--findings", "65"), "findings: 65 is out of range 1 to 64"),
        (("--search", "deep"), "deep"),
        (("--replay", "1:1"), "--replay needs one --scenario and one --design"),
        (("--scenario", "mix", "--replay", "nonsense"), "schedule"),
        (("--history", "--design", "v6.7"), "--history runs the whole catalogue"),
        (("--history", "--preemptions", "3"), "it takes only --seconds"),
        (("--history", "--seconds", "-1"), "seconds: -1 is out of range"),
        (("--bisect", "v6.10", "v7.1.8"), "--bisect needs one --scenario"),
        (("--scenario-file", "none.txt"), "none.txt: No such file"),
        (("--design", "v6.10+drain=x"), '"x" is none of put-met, put-erased'),
    ):
        done = vgic_command("prove", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr.startswith("vgic: error: ")
        assert len(done.stderr.splitlines()) == 1
        assert what in done.stderr


def test_ctrl_c_ends_it_at_once(vgic_process):
    process = vgic_process("prove", "--scenario", "mix", "--search", "random", "--seconds", "86400")
    process.wait_until_busy()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (130, "vgic: interrupted\n")


def test_bisect_names_the_axis_in_text_and_json(vgic_command):
    arguments = ("prove", "--scenario", "send_vs_discard", *QUICK, "--bisect", "v6.7", "v6.8-rc1")
    done = vgic_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "  cache-hit=get  mends it" in done.stdout
    assert done.stdout.splitlines()[-1] == "That is v6.7+cache-hit=get"
    data = json.loads(vgic_command(*arguments, "--json", "-").stdout)
    assert data["mends"] == ["v6.7+cache-hit=get"]
    assert [row["verdict"] for row in data["alone"]] == ["mended"]


def test_a_scenario_file_is_searched_and_its_violation_replayed(vgic_command, tmp_path):
    text = "vcpus 1\nmapti 0 0 0\nsend 0\ndrain\nthread sender\nsend 0\nthread guest\ndiscard 0\n"
    (tmp_path / "mine.txt").write_text(text)
    done = vgic_command("prove", "--scenario-file", "mine.txt", "--design", "v6.7", *QUICK)
    assert done.returncode == 1, done.stderr
    assert "mine in design v6.7" in done.stdout
    (replay,) = re.findall(r"^ *replay: vgic (.*)$", done.stdout, re.MULTILINE)
    assert vgic_command(*shlex.split(replay)).returncode == 1
    (tmp_path / "mine.txt").write_text("thread a\nsnd 0\n")
    done = vgic_command("prove", "--scenario-file", "mine.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('vgic: error: mine: line 2: "snd" is no operation: there are send, ')
