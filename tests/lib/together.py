"""Independent calls at the same time: what a call waits for is mostly its own media."""
import threading


def each(rows, act):
    """act(row) for every row, each in a thread of its own; the first failure, with its row, is raised."""
    failed = []

    def run(row):
        try:
            act(row)
        except BaseException as e:  # pytest's failures are no Exceptions
            e.add_note(f"row {row!r}")
            failed.append(e)

    threads = [threading.Thread(target=run, args=(row,), name=f"row {row!r}", daemon=True) for row in rows]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
        assert failed or not t.is_alive(), f"{t.name} did not end"
    if failed:
        raise failed[0]
