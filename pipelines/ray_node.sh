#!/bin/bash
# One node of the Ray cluster that slurm.sbatch starts, until it is told to end.
set -euo pipefail
options=(--block --disable-usage-stats --num-cpus "$SLURM_CPUS_ON_NODE")
if [ "$SLURM_PROCID" = 0 ]; then
    exec ray start --head --port "${RAY_ADDRESS#*:}" --include-dashboard false \
        --temp-dir "/tmp/ray-$SLURM_JOB_ID" "${options[@]}"
fi
until (exec 3<>"/dev/tcp/${RAY_ADDRESS/://}") 2>/dev/null; do sleep 1; done
exec ray start --address "$RAY_ADDRESS" "${options[@]}"
