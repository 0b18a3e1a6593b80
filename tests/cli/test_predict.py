import json
import os
import re
import signal

import pytest

import vgic

QUICK = ("predict", "-v", "2", "-d", "2", "-e", "2", "-i", "10")


def test_one_design_ends_with_its_rate(vgic_command):
    done = vgic_command(*QUICK, "--design", "v6.10")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("generic-arm64-64, 64 cores. ")
    assert re.match(
        r"generic-arm64-64, 64 cores\. Of its 43 values the answer hangs on \d+: 2 published, \d+ derived \(\d+% of "
        r"the time\), \d+ guessed \(\d+% of the time\)\. Checked against no measured rate\. All times are virtual\.$",
        lines[0],
    )
    assert lines[1].startswith("v6.10: sent 48, delivered ")
    assert re.match(r"  accepted \S+ [kM]?/s, delivered \S+ [kM]?/s, latency median \S+ .?s, p99 ", lines[2])
    assert re.fullmatch(r"Rate: \d+\.\d\d LPIs/sec", lines[-1])
    assert vgic_command(*QUICK, "--design", "v6.10").stdout == done.stdout


def test_without_a_design_it_compares_and_gicv4_is_one(vgic_command):
    done = vgic_command(*QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Rate: ") == 4
    table = done.stdout.splitlines()[-5:]
    assert [line.split()[0] for line in table] == ["design", "v6.8-rc1", "v6.10", "v7.3", "gicv4"]
    assert "1.00\N{MULTIPLICATION SIGN}" in table[1]
    assert all(len(line) <= 80 for line in table)


def test_one_sender_is_a_median_of_seeds(vgic_command):
    done = vgic_command("predict", "-v", "1", "-d", "1", "-i", "20", "--design", "v6.10", "--json", "x.json")
    assert "vgic: note: one sender" in done.stderr
    assert "v6.10 (5 runs): sent 1760" in done.stdout
    again = vgic_command(
        "predict", "-v", "1", "-d", "1", "-i", "20", "--design", "v6.10", "--seeds", "2", "--seed", "5"
    )
    assert "one sender" not in again.stderr
    assert "(2 runs)" in again.stdout


def test_an_ioctl_shows_what_f_count_is_worth(vgic_command):
    flags = (*QUICK, "--entry", "ioctl", "--design", "v6.10")
    assert "with f_count as plain atomic adds: " in vgic_command(*flags).stdout
    assert vgic_command(*flags, "--design", "gicv4").stdout.count("with f_count") == 1
    assert "with f_count" not in vgic_command(*flags, "--f-count", "cas").stdout


def test_so_does_one_for_many_msis_and_a_registered_file_has_none(vgic_command, tmp_path):
    many = vgic_command(*QUICK, "--entry", "ioctl-many", "--design", "v6.10", "--json", "many.json")
    assert "with f_count as plain atomic adds: " in many.stdout
    [workload] = json.loads((tmp_path / "many.json").read_text())["workloads"]
    assert workload["entry"] == "ioctl-many:16"
    assert vgic_command(*QUICK, "--entry", "ioctl-many:16", "--design", "v6.10").stdout == many.stdout
    registered = vgic_command(*QUICK, "--entry", "ioctl-registered", "--design", "v6.10")
    none = vgic_command(*QUICK, "--entry", "ioctl", "--f-count", "none", "--design", "v6.10")
    assert registered.stdout == none.stdout
    assert "with f_count" not in registered.stdout


def test_the_published_row_is_tried_as_it_was_published(vgic_command):
    row = ("predict", "--guest", "as-published", "--machine", "published-2024", "-i", "20")
    done = vgic_command(*row, "--design", "v6.8-rc1", "--design", "v2")
    assert done.returncode == 0, done.stderr
    assert "keep" not in done.stderr
    same = vgic_command(*row, "--design", "v6.8-rc1", "--design", "v2", "--entry", "ioctl", "--gap", "0")
    assert same.stdout == done.stdout
    [ratio] = re.findall(r"^v2 .* (\S+)\N{MULTIPLICATION SIGN}", done.stdout, re.MULTILINE)
    assert 9 < float(ratio) < 13  # 11.6 was published.
    first = done.stdout.splitlines()[0]
    assert "Checked against vgic_lpi_stress, cover letter of v2, predicted over measured 0.69 (v2, 1/1/1)" in first


def test_what_follows_several_seeds_is_of_the_first(vgic_command):
    done = vgic_command(*QUICK, "--design", "v6.10", "--seeds", "2", "--seed", "7", "--explain")
    assert "What follows is of the first seed, 7." in done.stdout
    assert "What follows" not in vgic_command(*QUICK, "--design", "v6.10", "--explain").stdout


def test_what_is_starved_or_keeps_up_is_said(vgic_command):
    flood = vgic_command("predict", "-v", "1", "-d", "1", "-e", "4", "--seeds", "1", "-i", "200", "--gap", "0")
    assert "less than a tenth of what is accepted is delivered" in flood.stderr
    assert "gicv4" not in flood.stderr
    calm = vgic_command(*QUICK, "--gap", "50", "-i", "40")
    assert "keep up with 40.0 k LPIs/s, the pace of the senders" in calm.stderr


def test_explain_and_what_if(vgic_command):
    done = vgic_command(
        *("predict", "-v", "4", "-d", "4", "-e", "2", "-i", "20", "--gap", "0", "--design", "v6.8-rc1"),
        *("--explain", "--what-if"),
    )
    assert done.returncode == 0, done.stderr
    assert "v6.8-rc1: where the time went" in done.stdout
    assert re.search(r"^waiting for lpi_list_lock +\d+\.\d% +\d+\.\d%$", done.stdout, re.MULTILINE)
    assert "4 senders" in done.stdout
    assert "4 vCPUs" in done.stdout
    assert re.search(r"^vgic_translation_cache_entry\[0\] ", done.stdout, re.MULTILINE)
    assert "v6.8-rc1: if one line cost nothing" in done.stdout
    assert "speed-ups do not add up" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()[4:]) <= 80


def test_free_may_be_unknown_to_some_designs(vgic_command):
    done = vgic_command(*QUICK, "--free", "vgic_irq.lpi_list.next")
    assert done.returncode == 0
    assert "v6.10 has no vgic_irq.lpi_list.next, so nothing is free there" in done.stderr
    assert "v6.8-rc1 has no" not in done.stderr


def test_a_closed_loop_counts_requests(vgic_command):
    done = vgic_command(
        *("predict", "--closed", "each", "-v", "2", "--queues", "2", "--in-flight", "8", "--requests", "200"),
        *("--json", "x.json", "--report", "x.html"),
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^Rate: \d+\.\d\d requests/sec$", done.stdout, re.MULTILINE)) == 4
    assert "response median" in done.stdout
    assert ", 2.00 LPIs a request" in done.stdout


def test_a_guest_that_polls_takes_fewer_interrupts(vgic_command):
    loop = ("predict", "--closed", "redis-memtier", "-v", "2", "--queues", "2", "--in-flight", "64")
    done = vgic_command(*loop, "--requests", "500", "--design", "v7.3", "--json", "x.json")
    assert done.returncode == 0, done.stderr
    assert 0 < float(re.search(r", (\d\.\d\d) LPIs a request", done.stdout)[1]) < 1


def test_a_loop_may_be_batched_as_a_recording_was(vgic_command):
    loop = ("predict", "--closed", "napi", "--from-recording", "redis-memtier", "--requests", "20000")
    done = vgic_command(*loop, "--in-flight", "64", "--service", "10", "--network", "50", "--design", "v7.3")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^redis-memtier: \d+ MSIs of 8 vectors for 20000 requests, 0\.\d+ a request; ", done.stdout, re.M)


def test_files(vgic_command, tmp_path):
    done = vgic_command(*QUICK, "--json", "x.json", "--report", "x.html", "--trace", "x.trace.json")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["x.html", "x.json", "x.trace.json"]
    file = vgic.ResultFile.from_json((tmp_path / "x.json").read_text())
    assert file.command.startswith("vgic predict -v 2")
    assert file.designs == ["v6.8-rc1", "v6.10", "v7.3", "gicv4"]
    assert all(result.prediction["threads"] for result in file.results)
    assert "<h2>The machine</h2>" in (tmp_path / "x.html").read_text()
    trace = json.loads((tmp_path / "x.trace.json").read_text())
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X", "s", "f"}
    assert re.search(r"Wrote x.trace.json: \d+ events of 11 rounds, the first a warm-up\.", done.stdout)


def test_json_on_standard_output_is_json_alone(vgic_command):
    done = vgic_command(*QUICK, "--design", "v6.10", "--json", "-")
    assert vgic.ResultFile.from_json(done.stdout).results[0].design == "v6.10"
    assert "Rate: " in done.stderr


def test_the_machine_grows_with_the_threads_unless_it_is_named(vgic_command):
    many = ("predict", "-v", "40", "-d", "40", "-e", "1", "-i", "2", "--design", "gicv4")
    assert vgic_command(*many).stdout.startswith("generic-arm64-80, 80 cores")
    done = vgic_command(*many, "--machine", "graviton2")
    assert done.returncode == 2
    assert done.stderr == ("vgic: error: vcpus + devices: 80 threads, a core each, but graviton2 has 64 cores\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-v", "0"], "vcpus: 0 is out of range"),
        (["--gap", "-1"], "gap: -1 us is out of range"),
        (["--design", "gicv5"], "unknown design 'gicv5': did you mean gicv4"),
        (["--design", "v6.7"], "unsound"),
        (["--machine", "cray"], "unknown machine 'cray'"),
        (["--free", "nonsense"], "free: v6.8-rc1 has no field, lock or line 'nonsense': known: "),
        (["--seed", "-1"], "seed: -1"),
        (["--seeds", "0"], "seeds: 0"),
        (["--queues", "4"], "queues: only with --closed"),
        (["--in-flight", "4"], "in-flight: only with --closed"),
        (["--service", "4"], "service: only with --closed"),
        (["--pipeline", "4"], "pipeline: only with --closed"),
        (["--rx-usecs", "4"], "rx-usecs: only with --closed"),
        (["--from-recording", "redis-memtier"], "from-recording: only with --closed"),
        (["--closed", "napi", "--from-recording", "redis-memtier"], "requests, in-flight, service, network: not in a "),
        (["--closed", "napi", "--from-recording", "x", "--rx-usecs", "1"], "rx-usecs: only without --from-recording"),
        (["--closed", "napi", "--phase", "1"], "phase: only with --recording or --from-recording"),
        (["--closed", "some"], "closed: 'some' is none of each, napi, redis-memtier"),
        (["--closed", "each", "--packet", "4"], "packet: only with a --closed loop that polls"),
        (["--closed", "each", "--servers", "4"], "servers: only with a --closed loop that polls"),
        (["--closed", "napi", "--servers", "17"], "servers: 17 is out of range 1 to 16"),
        (["--closed", "each", "--gap", "4"], "gap: not with --closed"),
        (["--closed", "each", "-d", "4"], "devices: not with --closed"),
        (["--closed", "each", "--trace", "x"], "trace: not with --closed"),
        (["--f-count", "add"], "f-count: only with entry ioctl or ioctl-many, not irqfd"),
        (["--f-count", "cas"], "f-count: only with entry ioctl or ioctl-many, not irqfd"),
        (["--entry", "ioctl-registered", "--f-count", "cas"], "f-count: only with entry ioctl or "),
        (["--entry", "ioctl-many:0"], "entry ioctl-many: 0 is out of range 1 to 1024"),
        (["--entry", "ioctl-many:a"], "entry: 'ioctl-many:a' is unknown (one of: direct, ioctl, ioctl-many, "),
        (["--design", "gicv4", "--entry", "ioctl"], "entry: only with a design, not with gicv4 alone"),
        (["--design", "gicv4", "--list-registers", "2"], "list-registers: only with a design"),
        (["--trace", "x", "--report", "./x"], "trace and report: both are x"),
        (["--json", "x", "--report", "x"], "json and report: both are x"),
        (["--trace", "no/x"], "no/x: cannot be written"),
        (["--report", "."], ".: cannot be written: is a directory"),
        (["--json", "no/x"], "no/x: cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(vgic_command, tmp_path, arguments, text):
    done = vgic_command("predict", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("vgic: error: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("design", [["--design", "v6.10"], []], ids=["one", "several"])
def test_ctrl_c_stops_it_and_leaves_nothing(tmp_path, vgic_process, design):
    process = vgic_process("predict", "-i", "100000", *design, "--json", "x.json")
    process.wait_until_busy()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("vgic: interrupted\n")
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == []
