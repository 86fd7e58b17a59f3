"""Stands in for a process that `launch` starts: notes what it was given, and ends as STAND_IN_WORKER says.

STAND_IN names a folder. A worker ends with the code STAND_IN_WORKER, by the signal that it names, or, where it is
"waits", when it gets a signal; a scheduler or a server when every worker has ended with 0, as MXNet's do.
"""

import json
import os
import signal
import sys
import time


def main():
    folder, role = os.environ["STAND_IN"], os.environ["DMLC_ROLE"]
    noted = {name: value for name, value in os.environ.items() if name.startswith(("DMLC_", "OMP_"))}
    received = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    draft = f"{folder}/{role}-{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump({"words": sys.argv[1:], "role": role, "process": os.getpid(), **noted}, file)
    os.rename(draft, f"{draft}.json")
    if role != "worker":
        while len([name for name in os.listdir(folder) if name.endswith(".ended")]) < int(noted["DMLC_NUM_WORKER"]):
            time.sleep(0.02)
        return 0
    how = os.environ["STAND_IN_WORKER"]
    while how == "waits" and not received:
        time.sleep(0.02)
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    code = 143 if received else int(how)
    if code in (0, 143):
        open(f"{draft}.ended", "w", encoding="utf-8").close()
    return code


if __name__ == "__main__":
    sys.exit(main())
