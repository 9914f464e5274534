#!/bin/bash
# sbatch cluster/slurm.sh python -m ltray.tune rescom --output /shared/runs/rescom
# Runs a command on all nodes of a SLURM job: the first node is the Ray head and runs the command. Submit it in ltray's
# folder, which all nodes share. The options below can also be given to sbatch, before the script:
# `sbatch --nodes=4 --gpus-per-node=8 cluster/slurm.sh ...`. See docs/clusters.md.
#SBATCH --job-name=ltray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=ltray-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --no-kill
set -euo pipefail
umask 077

fail() {
    echo "cluster/slurm.sh: $2" >&2
    exit "$1"
}

[ $# -gt 0 ] || fail 2 "no command: sbatch cluster/slurm.sh python -m ltray.tune rescom --output /shared/runs/rescom"
environment="${LTRAY_ENVIRONMENT:-$PWD/.venv}"
[ -x "$environment/bin/ray" ] ||
    fail 2 "$environment contains no Ray: run \`make setup\` in $PWD, or set LTRAY_ENVIRONMENT to ltray's environment"
export PATH="$environment/bin:$PATH"

# Others can reach Ray's ports over the network: every request needs this token. It is new for each start of the job and
# is in no file; on a node, only its owner and root can read a process's environment.
RAY_AUTH_TOKEN="$(python -c 'import secrets; print(secrets.token_hex(32))')"
head_address="$(python -c 'import ray.util; print(ray.util.get_node_ip_address())')"
head_port=$((10240 + 2 * (SLURM_JOB_ID % 8000)))
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN head_address head_port
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export RAY_gcs_server_port_wait_time_s=300 # a shared file system may be slow
unset RAY_AUTH_TOKEN_PATH RAY_ADDRESS

# Runs on every node until the job ends. The system chooses the other ports: several jobs may share a node.
run_node() {
    local place=("--address=$head_address:$head_port") folder ray ending=
    folder="$(mktemp -d /tmp/ltray-XXXXXX)" || exit 1 # a short path: Ray creates sockets below it
    if [ "$SLURM_NODEID" -eq 0 ]; then
        place=(--head "--node-ip-address=$head_address" "--port=$head_port" --include-dashboard=false
            "--ray-client-server-port=$((head_port + 1))")
    fi
    # SLURM kills soon after TERM: what could remain is removed first.
    trap 'ending=yes; kill "$ray"; rm -rf "$folder"' TERM
    for _ in 1 2 3 4 5; do # on a busy node, Ray gives up after 30 s
        ray start "${place[@]}" --block --disable-usage-stats --log-color=false "--temp-dir=$folder/r" \
            --dashboard-agent-listen-port=0 --min-worker-port=0 --max-worker-port=0 \
            "--num-cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}" "--num-gpus=${SLURM_GPUS_ON_NODE:-0}" \
            >"$folder/start.log" 2>&1 &
        ray=$!
        wait "$ray" || true # or until TERM
        wait "$ray" || true
        [ -z "$ending" ] || break
        tail -n 20 "$folder/start.log" >&2
        grep -q "timed out during startup" "$folder/start.log" || break
    done
    rm -rf "$folder"
}
export -f run_node
SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" srun --no-kill --kill-on-bad-exit=0 --wait=0 \
    --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 bash -c run_node &
nodes=$!

alive='import ray, sys
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
sys.exit(sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]))'
until timeout 60 python -c "$alive" "$head_address:$head_port" "$SLURM_JOB_NUM_NODES" >/dev/null 2>&1; do
    kill -0 "$nodes" 2>/dev/null || fail 1 "Ray did not start"
    [ "$SECONDS" -lt 600 ] || fail 1 "not all $SLURM_JOB_NUM_NODES nodes joined the Ray cluster within 10 minutes"
    sleep 1
done

# USR1 comes 300 s before the time limit (see --signal): the command ends, and the job is queued again. TERM comes from
# scancel and from preemption; after a preemption or the loss of the first node, SLURM itself queues the job again.
again=
RAY_ADDRESS="$head_address:$head_port" "$@" &
command=$!
trap 'again=yes; kill -TERM "$command" 2>/dev/null' USR1
trap 'kill -TERM "$command" 2>/dev/null' TERM
code=0
wait "$command" || code=$?
while kill -0 "$command" 2>/dev/null; do # a signal ends `wait` before the command ends
    code=0
    wait "$command" || code=$?
done
if [ -n "$again" ] && [ "$code" -ne 0 ]; then
    echo "cluster/slurm.sh: the time limit is near; the job is queued again and continues"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
