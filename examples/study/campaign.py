"""The study of a halide vacancy, stage by stage, restartable: python examples/study/campaign.py OUT

Every stage is a flow of midgap in a folder of its own, OUT/<stage>; a finished one is not computed again, an
unfinished one goes on. Stages that need nothing of each other may run side by side, each by a command of its own:

    python examples/study/campaign.py OUT --list
    python examples/study/campaign.py OUT --only relax_small --cores 1
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from jobflow import Flow
from results import cost_of
from stages import Stage, stages
from starts import Campaign

from midgap.structures.document import write_atomic
from midgap.structures.errors import ComputationError, InputError
from midgap.workflows.local import JobView, run_flow


def main(arguments: list[str] | None = None) -> int:
    """Run the stages that were asked for, in their order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the campaign")
    parser.add_argument("--material", default="Cs4PbBr6", help="a material midgap knows, or a structure file")
    parser.add_argument("--only", action="append", metavar="STAGE", help="this stage alone (may be given again)")
    parser.add_argument("--cores", type=int, default=None, help="jobs side by side; all cores if left out")
    parser.add_argument("--list", action="store_true", help="say what the stages are and what they cost")
    asked = parser.parse_args(arguments)
    campaign = Campaign(asked.out.resolve(), asked.material)
    known = {stage.name: stage for stage in stages(asked.material)}
    if asked.list:
        for stage in known.values():
            print(f"{stage.name:18s} {_duration(stage.expected_s):>8s}  {stage.about}")
        print(f"{'all':18s} {_duration(sum(s.expected_s for s in known.values())):>8s}  on one core")
        return 0
    try:
        for name in asked.only or known:
            if name not in known:
                raise InputError(f"There is no stage {name!r}; there are {', '.join(known)}.")
            run(known[name], campaign, asked.cores)
    except (InputError, ComputationError) as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print("Stopped. What is finished is kept; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def run(stage: Stage, campaign: Campaign, cores: int | None = None) -> None:
    """Run one stage, and say what it cost.

    Raises
    ------
    InputError
        What it starts from is not there.
    ComputationError
        A calculation failed; the others are kept.
    """
    flow = stage.flow(campaign)
    assert isinstance(flow, Flow)
    folder = campaign.out / stage.name
    print(f"{stage.name}: {stage.about}; expected {_duration(stage.expected_s)} on one core", flush=True)
    request = {"material": campaign.material, "stage": stage.name}
    result = run_flow(flow, folder, cores=cores, request=request, watch=_Teller())
    if result.output is not None:
        write_atomic(folder / "output.json", json.dumps(result.output) + "\n")
    cost = cost_of(folder)
    print(f"{stage.name}: {cost.calculations} calculations, {_duration(cost.wall_s)} of engines", flush=True)
    result.raise_for_failures()


class _Teller:
    """Say what each job came to, once."""

    def __init__(self) -> None:
        self.said: set[tuple[str, str]] = set()

    def __call__(self, jobs: tuple[JobView, ...]) -> None:
        for job in jobs:
            if (
                job.state in ("running", "done", "failed")
                and not job.found_done
                and (job.uuid, job.state) not in self.said
            ):
                self.said.add((job.uuid, job.state))
                took = f" after {_duration(job.elapsed_s)}" if job.elapsed_s and job.state != "running" else ""
                print(f"  {time.strftime('%H:%M:%S')} {job.name}: {job.error or job.state}{took}", flush=True)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


if __name__ == "__main__":
    sys.exit(main())
