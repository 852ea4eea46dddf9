"""A cluster ends itself when nobody needs it, in whatever order things happen, and never while a job runs in time."""

from hypothesis import example, given
from hypothesis import strategies as st

from training.cluster.watchdog import (
    BUSY_SILENCE_SECONDS,
    FORGOTTEN,
    MACHINE_SECONDS,
    MOST_FAILED_BOOTS,
    Rules,
    Seen,
    Watch,
    look,
)

RULES = Rules(idle_seconds=900.0, ends_at=1_000_000.0 + 14_400.0, ends_at_steady=14_400.0, start_seconds=180.0)
BEGAN = 1_000_000.0  # by the wall clock; the steady one begins at nought

steps = st.floats(0.0, 300.0)  # seconds between two looks
busy = st.integers(1, 5)
anything = st.none() | st.integers(0, 3)


def follow(
    events: list[tuple[float, int | None, int]], rules: Rules = RULES, *, failed_boots: int = 0, refusal: str = ""
) -> list[tuple[Seen, str]]:
    """What the watchdog says at each look, until it ends the machine. Events: seconds since the last, jobs, workers."""
    watch, steady, said = Watch(), 0.0, []
    for seconds, jobs, workers in events:
        steady += seconds
        seen = Seen(BEGAN + steady, steady, jobs, workers, failed_boots, "no space", refusal)
        watch, ending = look(watch, seen, rules)
        said.append((seen, ending))
        if ending:
            break
    return said


@given(st.integers(1, 3), st.lists(st.tuples(steps, busy, st.integers(0, 3)), max_size=100), st.integers(0, 9))
def test_it_never_ends_while_a_job_runs_that_once_had_a_worker_before_the_limit(
    first: int, events: list[tuple[float, int | None, int]], failed_boots: int
) -> None:
    for seen, ending in follow([(1.0, 1, first), *events], failed_boots=failed_boots):
        assert bool(ending) == (seen.steady >= RULES.ends_at_steady)


@given(st.lists(st.tuples(steps, busy, st.just(0)), min_size=1, max_size=100), st.integers(0, MOST_FAILED_BOOTS - 1))
def test_a_job_that_never_had_a_worker_waits_half_an_hour_and_no_longer(
    events: list[tuple[float, int | None, int]], failed_boots: int
) -> None:
    said = follow(events, failed_boots=failed_boots)
    first = said[0][0].steady
    for seen, ending in said:
        assert bool(ending) == (seen.steady - first >= MACHINE_SECONDS or seen.steady >= RULES.ends_at_steady)


@given(st.lists(st.tuples(st.floats(20.0, 60.0), st.none() | busy, st.just(0)), min_size=1, max_size=12))
def test_silence_in_between_does_not_begin_the_wait_for_a_first_worker_anew(
    events: list[tuple[float, int | None, int]],
) -> None:
    enough = int(MACHINE_SECONDS / sum(seconds for seconds, _, _ in events)) + 3
    said = follow([(0.0, 1, 0), *events * enough])
    assert said[-1][1]
    assert said[-1][0].steady <= MACHINE_SECONDS + 60.0


@given(busy, st.integers(MOST_FAILED_BOOTS, 20))
def test_boots_that_fail_again_and_again_end_it_where_no_worker_ever_joined(jobs: int, failed_boots: int) -> None:
    ((_, ending),) = follow([(60.0, jobs, 0)] * 3, failed_boots=failed_boots)
    assert ending == f"{failed_boots} machines could not start and none ever joined; the last: no space"


def test_boots_that_failed_after_a_worker_had_joined_end_nothing() -> None:
    events: list[tuple[float, int | None, int]] = [(60.0, 1, 1), *[(60.0, 1, 0)] * 60]
    assert not any(ending for _, ending in follow(events, failed_boots=MOST_FAILED_BOOTS))


@given(
    st.lists(st.tuples(steps, anything, st.integers(0, 3)), max_size=40),
    st.lists(st.floats(10.0, 60.0), min_size=100, max_size=100),
)
def test_a_head_without_job_and_worker_ends_within_its_minutes_and_one_look(
    before: list[tuple[float, int | None, int]], idle: list[float]
) -> None:
    said = follow([*before, *((seconds, 0, 0) for seconds in idle)])
    looks = [seen for seen, _ in said]
    if len(said) <= len(before):  # ended before the idle time
        assert said[-1][1]
        return
    began = looks[len(before)].steady
    assert said[-1][1]
    assert looks[-1].steady - began <= RULES.idle_seconds + 60.0


@given(st.lists(st.tuples(st.floats(20.0, 60.0), anything, st.integers(0, 3)), min_size=1, max_size=12))
@example([(60.0, 0, 1), (60.0, None, 0)])
@example([(60.0, 0, 0), (60.0, None, 0), (60.0, 0, 2)])
def test_whatever_happens_again_and_again_it_ends_by_its_lifetime(
    events: list[tuple[float, int | None, int]],
) -> None:
    enough = int(RULES.ends_at_steady / sum(seconds for seconds, _, _ in events)) + 2
    said = follow(events * enough)
    assert said[-1][1]
    assert said[-1][0].steady < RULES.ends_at_steady + 60.0


@given(
    st.lists(st.tuples(st.floats(20.0, 60.0), st.sampled_from([None, 0]), st.integers(0, 3)), min_size=1, max_size=60)
)
def test_without_any_job_it_ends_twice_its_minutes_after_rays_first_answer_whatever_else_happens(
    events: list[tuple[float, int | None, int]],
) -> None:
    longest = (1.0 + FORGOTTEN) * RULES.idle_seconds  # silence before the first answer ends it by itself
    enough = int(longest / sum(seconds for seconds, _, _ in events)) + 3
    said = follow(events * enough)
    assert said[-1][1]
    assert said[-1][0].steady <= longest + 2 * 60.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=100, max_size=100), st.integers(0, 1))
def test_a_wall_clock_that_jumps_neither_ends_a_job_early_nor_keeps_an_idle_head(jumps: list[float], jobs: int) -> None:
    watch, endings = Watch(), []
    for number, jump in enumerate(jumps):
        steady = 60.0 * number
        wall = min(BEGAN + jump, RULES.ends_at - 1.0)  # any instant before the limit
        watch, ending = look(watch, Seen(wall, steady, jobs, workers=jobs), RULES)
        endings.append(ending)
        if ending:
            break
    if jobs:
        assert not any(endings)
    else:
        assert len(endings) == 1 + RULES.idle_seconds / 60.0


def test_a_wall_clock_set_back_does_not_lengthen_the_lifetime() -> None:
    _, ending = look(Watch(), Seen(0.0, RULES.ends_at_steady, 1, 1), RULES)
    assert ending == "the lifetime of its launch is over"


def test_each_end_says_its_reason() -> None:
    idle = follow([(60.0, 0, 0)] * 30)[-1]
    assert idle[1] == "no job and no worker for 15 minutes"
    kept = follow([(60.0, 0, 1)] * 60)[-1]
    assert kept[1] == "no job for 30 minutes, though a worker is still there"
    silent = follow([(60.0, 1, 1), *[(60.0, None, 0)] * 30])[-1]
    assert silent[1] == "Ray gave no answer for 15 minutes"
    assert silent[0].steady == 60.0 + 60.0 + 900.0  # counted from the first look without an answer
    waiting = follow([(60.0, 1, 0)] * 40, refusal="gpu-ondemand: your current vCPU limit is 0")[-1]
    assert waiting[1] == ("a job waited 30 minutes and no worker ever came: gpu-ondemand: your current vCPU limit is 0")


def test_a_job_that_is_seen_again_after_silence_goes_on() -> None:
    events: list[tuple[float, int | None, int]] = [(60.0, 1, 1), *[(60.0, None, 0)] * 10, (60.0, 1, 1)]
    assert not any(ending for _, ending in follow(events * 5))


@given(
    st.floats(1.0, 3_600.0),
    st.lists(
        st.tuples(busy, st.integers(0, 3), st.floats(0.0, 0.999), st.integers(1, 8)),  # a look, then silence
        min_size=1,
        max_size=20,
    ),
)
@example(60.0, [(1, 1, 0.999, 8)])
def test_silence_between_two_looks_at_a_running_job_ends_it_only_after_its_own_limit(
    idle_seconds: float, rounds: list[tuple[int, int, float, int]]
) -> None:
    rules = RULES._replace(idle_seconds=idle_seconds)
    limit = max(idle_seconds, rules.start_seconds, BUSY_SILENCE_SECONDS)
    events: list[tuple[float, int | None, int]] = [(1.0, 1, 1)]
    for jobs, workers, share, looks in rounds:
        # the first look of a silence begins its count
        events += [(1.0, jobs, workers), (1.0, None, 0), *[(share * limit / looks, None, 0)] * looks]
    for seen, ending in follow(events, rules):
        assert bool(ending) == (seen.steady >= rules.ends_at_steady)


@given(st.floats(1.0, 1_500.0), st.floats(20.0, 60.0), busy, st.integers(0, 1))
def test_silence_that_does_not_end_ends_the_machine_whoever_worked_before_it(
    idle_seconds: float, seconds: float, jobs: int, workers: int
) -> None:
    rules = RULES._replace(idle_seconds=idle_seconds)
    limit = max(idle_seconds, rules.start_seconds, BUSY_SILENCE_SECONDS)
    said = follow([(0.0, jobs, workers), *[(seconds, None, 0)] * int(limit / seconds + 3)], rules)
    assert said[-1][1]
    assert limit <= said[-1][0].steady <= limit + 2 * seconds


def test_a_small_idle_limit_is_none_of_rays_silence() -> None:
    hurried = RULES._replace(idle_seconds=60.0)
    silent = follow([(60.0, 1, 1), *[(60.0, None, 0)] * 30], hurried)[-1]
    assert silent[1] == "Ray gave no answer for 10 minutes"
    idle = follow([(60.0, 1, 1), (60.0, 0, 1), *[(60.0, None, 0)] * 30], hurried)[-1]
    assert idle[1] == "no job and no worker for 1 minutes", "silence proves no job"


def test_a_crash_does_not_forget_that_a_job_ran_before_the_silence() -> None:
    hurried = RULES._replace(idle_seconds=60.0)
    watch, _ = look(Watch(), Seen(BEGAN, 0.0, 1, 1), hurried)
    for number in range(1, 10):
        watch, ending = look(Watch(**watch._asdict()), Seen(BEGAN, 60.0 * number, None, 0), hurried)
        assert not ending


def test_the_seconds_in_which_ray_starts_are_no_idleness() -> None:
    hurried = RULES._replace(idle_seconds=10.0)
    starting: list[tuple[float, int | None, int]] = [(5.0, None, 0)] * 30
    assert not any(ending for _, ending in follow(starting, hurried))
    said = follow([*starting, (5.0, 0, 0), (5.0, None, 0), (5.0, None, 0), (5.0, None, 0)], hurried)
    assert said[-1][1], "once Ray has answered, its silence counts as set"


def test_crashes_of_the_program_do_not_begin_the_count_anew() -> None:
    watch, ending = Watch(), ""
    for number in range(16):
        kept = Watch(**watch._asdict())  # as it lies on the disk between two lives of the program
        watch, ending = look(kept, Seen(BEGAN + 60.0 * number, 60.0 * number, 0, 0), RULES)
    assert ending


def test_a_crash_does_not_forget_that_a_worker_joined() -> None:
    watch, _ = look(Watch(), Seen(BEGAN, 0.0, 1, 1), RULES)
    kept = Watch(**watch._asdict())
    _, ending = look(kept, Seen(BEGAN + 60.0, 60.0, 1, 0, failed_boots=MOST_FAILED_BOOTS), RULES)
    assert not ending
