"""``python -m tests.simulation.replay SEED``: runs one seed and prints all that happened."""

from __future__ import annotations

import sys

from tests.simulation.simulation import Simulation


def main(arguments: list[str]) -> int:
    """Print the log of a seed, and what was wrong; 1 if anything was."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        sys.stderr.write("usage: python -m tests.simulation.replay SEED\n")
        return 2
    simulation = Simulation(seed=int(arguments[0]), talkative=True)
    verdict = simulation.run()
    out = sys.stdout
    out.write(f"{simulation.scenario.describe()}\n")
    out.writelines(f"{line}\n" for line in simulation.journal.lines())
    out.write(f"{verdict}\n")
    out.writelines(f"WRONG: {fault}\n" for fault in verdict.faults)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
