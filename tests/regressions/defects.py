"""Whose defect each test of this folder is about, and the mutant that has it and fails that test alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType

from eventhub import hub
from eventhub.runtime import assignment, recovery, supervisor, worker
from tests.regressions.mutants import (
    CommitsOnePastTheEnd,
    CommitsTheLatest,
    CommitsWhatItSaw,
    CommitsWithoutLimit,
    CountsOffsets,
    CountsWhatIsGone,
    DiesAtARefusedCommit,
    DrainsAlone,
    DropsWhatItPolls,
    DropsWhatStillRuns,
    EndsAtPoison,
    ExpectsNothing,
    ExpiresByTheDay,
    ForgetsToResume,
    ForgetsWhoStillRuns,
    GivesUpUnknownSchemas,
    NotesPauses,
    NotesSuccess,
    NotesTheLatest,
    PublishesNothingInARebalance,
    RemembersOneFailure,
    ResumesAtARebalance,
    ResumesOnlyWhatItOwns,
    SendsForTheSuccessfulOnly,
    WritesOnlyWhatItUnderstands,
)
from tests.simulation.mutants import DropsLetters

Swap = tuple[ModuleType, str, type]


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of another runtime."""

    of: str
    """Whose, with the number of the report."""
    swaps: Collection[Swap]
    """What the mutant puts in the place of what."""


PAUSES: Swap = (worker, "Lanes", NotesPauses)

DEFECTS: Mapping[str, Defect] = {
    "test_what_is_full_stays_full_after_a_rebalance": Defect(
        "Spring Kafka #2222", [(supervisor, "Worker", ResumesAtARebalance)]
    ),
    "test_what_was_taken_away_no_longer_counts_as_unfinished": Defect(
        "Spring Kafka #2581, Parallel Consumer #547", [(worker, "Lanes", CountsWhatIsGone)]
    ),
    "test_a_partition_that_comes_back_before_its_key_was_due_is_read_on": Defect(
        "Spring Kafka #2525, #2531", [PAUSES, (worker, "Assignment", ForgetsToResume)]
    ),
    "test_a_partition_that_comes_back_after_its_key_was_due_is_read_on": Defect(
        "Spring Kafka #2565", [PAUSES, (worker, "Assignment", ResumesOnlyWhatItOwns)]
    ),
    "test_what_a_poll_brings_after_a_rebalance_is_read_again": Defect(
        "Spring Kafka #2340", [(worker, "Assignment", DropsWhatItPolls)]
    ),
    "test_a_rebalance_while_records_are_kept_behind_a_key_ends_nothing": Defect(
        "Spring Kafka #2576", [(worker, "Assignment", ExpectsNothing)]
    ),
    "test_two_records_that_fail_at_once_are_both_tried_to_the_end": Defect(
        "Spring Kafka #4504", [(worker, "Recovery", RemembersOneFailure)]
    ),
    "test_bytes_that_nobody_can_read_become_one_letter_and_a_replay_of_it_one_more": Defect(
        "Spring Kafka #2415", [(worker, "Recovery", WritesOnlyWhatItUnderstands)]
    ),
    "test_a_record_that_cannot_be_decoded_does_not_cost_the_connection": Defect(
        "Watermill, Kafka subscriber", [(supervisor, "Worker", EndsAtPoison)]
    ),
    "test_a_record_is_not_skipped_because_its_letter_was_not_taken": Defect(
        "Dapr, Kafka component", [(worker, "Recovery", DropsLetters)]
    ),
    "test_a_schema_that_is_late_is_waited_for_and_one_that_never_comes_is_not": Defect(
        "Spring Kafka, ErrorHandlingDeserializer (Schema Registry #928)",
        [(recovery, "Attempts", GivesUpUnknownSchemas)],
    ),
    "test_what_was_only_fetched_is_not_committed": Defect(
        "Parallel Consumer #826", [(assignment, "Partition", CommitsWhatItSaw)]
    ),
    "test_a_commit_never_passes_the_end_of_the_log": Defect(
        "Parallel Consumer #893, #894", [(assignment, "Offsets", CommitsOnePastTheEnd)]
    ),
    "test_offsets_that_transactions_took_hold_nothing_up": Defect(
        "Parallel Consumer #329", [(assignment, "Offsets", CountsOffsets)]
    ),
    "test_a_record_that_waits_is_not_covered_by_one_that_came_after_it": Defect(
        "SmallRye, delayed retry topics",
        [(assignment, "Offsets", NotesTheLatest), (assignment, "Partition", CommitsTheLatest)],
    ),
    "test_a_commit_that_is_refused_costs_nobody_the_consumer": Defect(
        "Parallel Consumer #857, the poll thread", [(worker, "Assignment", DiesAtARefusedCommit)]
    ),
    "test_a_process_that_drains_lets_a_rebalance_go_on": Defect(
        "Parallel Consumer #857, draining", [(worker, "Assignment", DrainsAlone)]
    ),
    "test_a_commit_that_nobody_answers_does_not_hold_a_rebalance_up": Defect(
        "Parallel Consumer #857, the lock", [(worker, "Assignment", CommitsWithoutLimit)]
    ),
    "test_a_handler_may_publish_while_its_partition_is_being_given_up": Defect(
        "Parallel Consumer #541", [(supervisor, "Worker", PublishesNothingInARebalance)]
    ),
    "test_a_record_that_comes_again_is_handled_although_its_first_handler_still_runs": Defect(
        "Parallel Consumer #875, #909", [(worker, "Lanes", DropsWhatStillRuns)]
    ),
    "test_a_key_that_comes_back_waits_for_its_handler_that_still_runs": Defect(
        "Parallel Consumer (fork) #178", [(worker, "Lanes", ForgetsWhoStillRuns)]
    ),
    "test_a_time_of_day_that_steps_changes_nothing_that_takes_time": Defect(
        "aiokafka, the time of the last answer", [(worker, "Deadlines", ExpiresByTheDay)]
    ),
    "test_what_was_committed_is_published_although_its_record_is_given_up": Defect(
        "NServiceBus, zombie records", [(supervisor, "Worker", NotesSuccess), (hub, "Relay", SendsForTheSuccessfulOnly)]
    ),
}
"""Each test of this folder, and the defect that it is about."""
