#!/bin/bash
# The first program of every machine of a training cluster, run once by cloud-init as root. What the machine is stands
# in exports before this text: CRPBOT_ROLE, CRPBOT_BOOT, CRPBOT_CODE, CRPBOT_CODE_SHA256, CRPBOT_ENDS_AT,
# CRPBOT_LIFETIME_MINUTES, CRPBOT_GPU.
set -euo pipefail

# 1. The dead-man, before anything that can fail. The system itself keeps it, so from here on it needs none of our
#    programs, no network and no bucket; the machine's shutdown behaviour is terminate, so it ends the costs too.
minutes=0
whole='^[1-9][0-9]{0,11}$'
if [[ ${CRPBOT_ENDS_AT:-} =~ $whole && ${CRPBOT_LIFETIME_MINUTES:-} =~ $whole ]]; then
  minutes=$(( (CRPBOT_ENDS_AT - $(date +%s) + 59) / 60 ))
  # the first is by the laptop's clock; one that goes wrong must not give a machine a longer life
  if (( minutes > CRPBOT_LIFETIME_MINUTES )); then minutes=$CRPBOT_LIFETIME_MINUTES; fi
fi
if (( minutes <= 0 )); then # past, or a limit that nobody can read: without one no machine may live
  shutdown -P now
  exit 0
fi
shutdown -P "+$minutes" || poweroff --force # a machine whose end cannot be ordered ends now
# A restart would forget it, and all that Ray knew: a machine that comes back from one is of no use to anybody.
per_boot=${CRPBOT_PER_BOOT:-/var/lib/cloud/scripts/per-boot}
if [[ -d $per_boot ]]; then
  printf '#!/bin/bash\nshutdown -P now\n' >"$per_boot/crpbot-ends"
  chmod 755 "$per_boot/crpbot-ends"
fi

root=${CRPBOT_ROOT:-/opt/crpbot}
log=$root/boot.log
mkdir -p "$root"
chmod 700 "$root" # Ray's token will lie below it
exec >>"$log" 2>&1

# /tmp is memory on Amazon Linux 2023, and the packages and Ray's files would fill it.
export TMPDIR=${TMPDIR:-/var/tmp} PIP_NO_CACHE_DIR=1 PIP_DEFAULT_TIMEOUT=30 PIP_RETRIES=5
# Programs of AWS give the keys of the role one second and one try: a machine that is busy needs more.
export AWS_METADATA_SERVICE_TIMEOUT=5 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5

name_machine() { # a token and a name, 2 s each: the service answers at once or not at all
  local service=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254} token name=''
  service=${service%/}/latest
  token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$service/api/token") || token=''
  [[ -z $token ]] || name=$(curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" "$service/meta-data/instance-id")
  echo "${name:-$(hostname)}"
}

# 2. Whatever fails below ends the machine within two minutes, with its last words on the console that EC2 shows and
#    beside boot.json for the head and the laptop. The end is ordered first: the words may hang.
give_up() {
  local status=$?
  if (( status == 0 )); then return; fi
  trap - EXIT
  set +e
  shutdown -P +1
  echo "boot of the $CRPBOT_ROLE failed at '$step' with status $status"
  tail -n 60 "$log" >"$root/trouble.txt"
  local console=${CRPBOT_CONSOLE:-/dev/console}
  if [[ -w $console ]]; then timeout 5 tee -a "$console" <"$root/trouble.txt" >/dev/null; fi
  timeout 50 aws s3 cp --only-show-errors "$root/trouble.txt" \
    "${CRPBOT_BOOT%/boot.json}/trouble/$(name_machine).txt"
  exit "$status"
}
step=start
trap give_up EXIT

begin() {
  step=$1
  echo "$(date -u +%FT%TZ) $step"
}

uptime_seconds() { # unlike the clock, it does not jump when the machine learns the time
  local up _
  read -r up _ </proc/uptime
  echo "${up%%.*}"
}
# All steps have so long together: one that hangs would cost the machine until the dead-man comes.
boot_seconds=${CRPBOT_BOOT_SECONDS:-900}
boot_over=$(( $(uptime_seconds) + boot_seconds ))

within() { # SECONDS COMMAND...: at most so long, and no longer than is left of the boot
  local limit=$1 left=$(( boot_over - $(uptime_seconds) ))
  shift
  if (( left <= 0 )); then
    echo "the steps before the start took more than $boot_seconds seconds together"
    return 124
  fi
  timeout --kill-after=10 "$(( left < limit ? left : limit ))" "$@"
}

thrice() { # SECONDS COMMAND...: each of three tries at most so long
  local try
  for try in 1 2 3; do
    if within "$@"; then return; fi
    if (( try < 3 )); then sleep $(( try * ${CRPBOT_LOOK_SECONDS:-5} )); fi
  done
  return 1
}

begin "packages of the system"
# Amazon Linux 2023 has both in its own repository, and images with drivers bring them along with repositories of
# others, which may be out of order. The lock of dnf may be held by the system's first updates.
if ! command -v python3.11 >/dev/null || ! command -v aws >/dev/null; then
  thrice 120 dnf install -y -q '--setopt=*.skip_if_unavailable=1' python3.11 awscli-2
fi

begin "fetch the code"
thrice 120 aws s3 cp --only-show-errors "$CRPBOT_CODE" "$root/code.zip"
# The laptop told its hash in the user data: whoever may write the bucket alone cannot make this machine run something.
echo "$CRPBOT_CODE_SHA256  $root/code.zip" | sha256sum --check --status ||
  { echo "the code is not the one of the launch: its sha256 differs"; exit 1; }
rm -rf "$root/code"
within 60 python3.11 -m zipfile -e "$root/code.zip" "$root/code"

begin "virtual environment"
within 120 python3.11 -m venv --clear "$root/venv"
python=$root/venv/bin/python

begin "packages of the lock"
cd "$root/code"
within 600 "$python" -m pip install --quiet --no-compile --require-hashes -r requirements.lock

begin "torch"
if [[ $CRPBOT_GPU == yes ]]; then
  within 600 "$python" scripts/install_torch.py --cuda
  begin "the GPU" # a worker whose GPU does not work would be paid to fail one training after the other
  within 120 "$python" -c 'import torch; torch.zeros(1, device="cuda")'
else
  # Without a GPU the libraries of CUDA would be three gigabytes for nothing.
  export PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL:-https://download.pytorch.org/whl/cpu}
  within 600 "$python" scripts/install_torch.py
fi

begin "start the $CRPBOT_ROLE"
# What the program is told. Not by name prefix alone: no secret may stand in arguments, which every process can read.
told=("--setenv=PATH=$PATH" "--setenv=HOME=${HOME:-/root}" "--setenv=PYTHONPATH=$root/code" --setenv=PYTHONUNBUFFERED=1
  "--setenv=NUMBA_CACHE_DIR=$root/kernels" "--setenv=AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION")
for name in TMPDIR ${!AWS_METADATA_SERVICE_@} ${!CRPBOT_@}; do told+=("--setenv=$name=${!name}"); done
# - Restart: no crash leaves a machine without its watchdog. Crashes without end switch the machine off instead.
# - KillMode=process: Ray and its jobs go on while the program that watches them comes back.
# - OOMPolicy: a training that takes too much memory is ended alone; by default systemd would end the program as well.
# - LimitNOFILE: Ray keeps a connection to every process and machine.
within 60 systemd-run --unit="crpbot-$CRPBOT_ROLE" --working-directory="$root/code" \
  --property=Restart=always --property=RestartSec=5 --property=KillMode=process \
  --property=StartLimitIntervalSec=600 --property=StartLimitBurst=20 --property=StartLimitAction=poweroff \
  --property=OOMPolicy=continue --property=LimitNOFILE=65536 \
  "${told[@]}" "$python" -m "training.cluster.$CRPBOT_ROLE"
begin "done"
