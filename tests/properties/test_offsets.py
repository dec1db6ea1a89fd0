"""Properties of offsets over any order of completion and any number of restarts."""

from hypothesis import given
from hypothesis import strategies as st

from eventhub.runtime.offset_map import decode_map, encode_map
from eventhub.runtime.offsets import Offsets


@given(st.data())
def test_nothing_unfinished_is_ever_committed_or_skipped(data: st.DataObject) -> None:
    """However records complete and wherever the process dies, each is finished by somebody before it is passed over."""
    log = sorted(data.draw(st.sets(st.integers(0, 60), min_size=1), label="offsets in the log"))
    finished: set[int] = set()
    committed, metadata = 0, ""
    for _restart in range(data.draw(st.integers(1, 4), label="restarts")):
        offsets = Offsets(committed, decode_map(metadata, committed))
        begun: list[int] = []
        delivered = [offset for offset in log if offset >= committed]
        for offset in delivered[: data.draw(st.integers(0, len(delivered)), label="delivered")]:
            if offsets.was_finished(offset):
                assert offset in finished
                offsets.passed(offset)
            elif data.draw(st.booleans(), label=f"{offset} in turn"):
                finished.add(offset)
                offsets.passed(offset)
            else:
                offsets.begin(offset)
                begun.append(offset)
        for offset in data.draw(st.permutations(begun), label="completions")[: data.draw(st.integers(0, len(begun)))]:
            finished.add(offset)
            offsets.finish(offset)
        assert committed <= offsets.committable
        committed, done = offsets.committable, offsets.map()
        metadata = (encode_map(done) or "") if done is not None else ""

        assert all(offset in finished for offset in log if offset < committed)
