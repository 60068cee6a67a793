#!/usr/bin/env bash
# Proves docker-compose.yml on a Docker engine: replay, kill -9 of each service, restarts, live ratings, and after each
# step the exact counts: nothing lost, nothing twice. Not part of pytest; about seven minutes. Its containers, volumes
# and network have a project name of their own and are removed at the end; the image `reelstream` stays.
# Needs docker-compose (v1 or v2) and a Python with pandas and pyarrow for the look from outside.
# usage: tests/docker/prove.sh DIRECTORY_WITH_RATINGS_CSV
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -f "${1:?usage: tests/docker/prove.sh DIRECTORY_WITH_RATINGS_CSV}/ratings.csv" ] || { echo "$1 has no ratings.csv" >&2; exit 2; }
RATINGS_DIR=$(cd "$1" && pwd)
PYTHON=${PYTHON:-.venv/bin/python}
KAFKA_PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
COMPOSE_PROJECT_NAME=reelstream-prove-$$
export RATINGS_DIR KAFKA_PORT COMPOSE_PROJECT_NAME
if docker compose version >/dev/null 2>&1; then compose() { docker compose "$@"; }; else compose() { docker-compose "$@"; }; fi

ROWS=$(($(wc -l <"$RATINGS_DIR/ratings.csv") - 1))
SENT=0  # events that Kafka has acknowledged
LIVE=0  # of them rated live, by user 1000001 and those after
OUT=$(mktemp -d)

main() {
  say "build and start"
  compose build >"$OUT/build.log" 2>&1 || { tail -n 20 "$OUT/build.log"; fail "the image can't be built"; }
  docker run --rm --network none --entrypoint python reelstream -c \
    'from reelstream.broker.jars import spark_kafka_jars; spark_kafka_jars(exit)' || fail "the image lacks the jars"
  [ "$(docker run --rm --entrypoint id reelstream -u)" != 0 ] || fail "the image runs as root"
  compose up -d kafka pipeline
  healthy kafka; healthy pipeline

  say "replay $ROWS ratings"
  replayed "$(replay)"
  counts
  within 300 published || fail "no version was published"
  rate_live

  say "kafka: docker kill, start"
  docker kill "$(id_of kafka)" >/dev/null
  within 120 health_is pipeline unhealthy || fail "the pipeline calls itself healthy without Kafka"
  docker start "$(id_of kafka)" >/dev/null
  healthy kafka; healthy pipeline
  counts; rate_live; counts

  say "pipeline: docker kill, start"
  docker kill "$(id_of pipeline)" >/dev/null
  docker start "$(id_of pipeline)" >/dev/null
  healthy pipeline
  counts; rate_live; counts

  say "kafka: docker kill in the middle of a second replay"
  replay --rate 4000 >"$OUT/replay" & local replaying=$!
  within 120 accepted_beyond $((SENT + ROWS / 4)) || fail "the second replay does not arrive"
  kill -0 $replaying || fail "the second replay was over before the kill"
  docker kill "$(id_of kafka)" >/dev/null
  sleep 2
  docker start "$(id_of kafka)" >/dev/null
  wait $replaying || fail "the replay did not survive Kafka's restart"
  replayed "$(cat "$OUT/replay")"
  healthy kafka; healthy pipeline; counts

  say "pipeline: kill -9 from inside, in the middle of a third replay; the engine starts it again"
  local restarts; restarts=$(restarts)
  replay --rate 4000 >"$OUT/replay" & replaying=$!
  within 120 accepted_beyond $((SENT + ROWS / 4)) || fail "the third replay does not arrive"
  kill -0 $replaying || fail "the third replay was over before the kill"
  compose exec -T pipeline python -c \
    'import json, os; os.kill(json.load(open("/warehouse/run/stream.json"))["pid"], 9)' || true
  within 60 restarted_since "$restarts" || fail "the engine did not start the pipeline again"
  wait $replaying || fail "the replay failed"
  replayed "$(cat "$OUT/replay")"
  healthy pipeline; counts; rate_live; counts

  say "an orderly end, down and up: all of it is in the volumes"
  compose stop pipeline >/dev/null 2>&1
  [ "$(docker inspect -f '{{.State.ExitCode}}' "$(id_of pipeline)")" = 0 ] || fail "the pipeline did not end in order"
  compose down >/dev/null 2>&1
  compose up -d kafka pipeline
  healthy kafka; healthy pipeline
  counts; rate_live; counts

  say "the tables, from outside"
  within 120 tables || fail "the tables are not what was sent"
  say "proven: $SENT events sent, $SENT stored, $LIVE of them live"
}

say() { echo "$(date +%T) $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

within() {  # SECONDS COMMAND …: until it succeeds
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 1; done
}

id_of() { compose ps -aq "$1"; }
health_is() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(id_of "$1")")" = "$2" ]; }
restarts() { docker inspect -f '{{.RestartCount}}' "$(id_of pipeline)"; }
restarted_since() { [ "$(restarts)" -gt "$1" ]; }
published() { [ "$(status 'bool(s["current"])')" = True ]; }
accepted_beyond() { [ "$(status 's["ratings"]["accepted"]')" -gt "$1" ]; }

healthy() {
  within 240 health_is "$1" healthy || {
    docker inspect -f '{{json .State}}' "$(id_of "$1")" >&2; compose logs --no-color --tail 30 "$1" >&2; fail "$1 is not healthy"
  }
}

status() {  # a Python expression over s, what `reelstream status --json` prints; 0 while nothing answers
  compose exec -T pipeline reelstream status --json 2>/dev/null |
    "$PYTHON" -c 'import json, sys; s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" 2>/dev/null || echo 0
}

replay() { compose run --rm -T replay --json "$@" 2>/dev/null; }

replayed() {  # what `replay --json` printed
  "$PYTHON" -c 'import json, sys; r = json.loads(sys.argv[1]); sys.exit((r["acked"], r["bad_rows"]) != (int(sys.argv[2]), 0))' \
    "$1" "$ROWS" || fail "the replay sent something else: $1"
  SENT=$((SENT + ROWS))
}

rate_live() {
  local user=$((1000001 + LIVE)) movies
  movies=$(compose exec -T pipeline reelstream rate $user 296=5 --json) || fail "the live rating was refused"
  "$PYTHON" -c 'import json, sys; r = json.loads(sys.argv[1]); f = r["recommendations"]
sys.exit(not (r["fresh_after_s"] is not None and f and all(x["movie_id"] != 296 and x["source"] != "popular" for x in f)))' \
    "$movies" || fail "no fresh list follows the live rating: $movies"
  say "  user $user counts after $("$PYTHON" -c 'import json, sys; print(round(json.loads(sys.argv[1])["fresh_after_s"], 2))' "$movies") s"
  SENT=$((SENT + 1)) LIVE=$((LIVE + 1))
}

counts() {  # the store has all that was sent, once: as many ratings as events, up to Kafka's own ends
  local stored ends
  within 240 took_all || fail "sent $SENT, the store says $(status 's["ratings"]')"
  sleep 2 # an event too many would come now
  stored=$(status '" ".join(f"ratings:{p}:{o}" for p, o in sorted(s["ratings"]["offsets"]["ratings"].items()))')
  ends=$(compose exec -T kafka /opt/kafka/bin/kafka-get-offsets.sh --bootstrap-server kafka:9092 --topic ratings |
    tr -d '\r' | sort | paste -sd ' ')
  [ "$stored" = "$ends" ] || fail "the store is at $stored, Kafka at $ends"
  [ "$(status 's["ratings"]["accepted"], s["ratings"]["rejected"], sum(s["ratings"]["offsets"]["ratings"].values())')" \
    = "($SENT, 0, $SENT)" ] || fail "sent $SENT, the store says $(status 's["ratings"]')"
  say "  $SENT stored; $ends"
}
took_all() { [ "$(status 's["ratings"]["accepted"]')" -ge "$SENT" ]; }

tables() {  # a copy of the volume, read with pandas
  rm -rf "$OUT/warehouse"
  docker cp "$(id_of pipeline):/warehouse" "$OUT/warehouse" >/dev/null || return 1
  "$PYTHON" - "$OUT/warehouse" "$RATINGS_DIR/ratings.csv" "$LIVE" <<'P'
import json, sys
from pathlib import Path
import pandas as pd

warehouse, live = Path(sys.argv[1]), int(sys.argv[3])
now = json.loads((warehouse / "ratings" / "CURRENT").read_text())
names = [name for name, *_ in [*([now["snapshot"]] if now["snapshot"] else []), *now["ratings"]]]
stored = pd.concat([pd.read_parquet(warehouse / "ratings" / name / "part-0.parquet") for name in names])
assert not stored.duplicated(["topic", "partition", "offset"]).any(), "an event is there twice"
# A snapshot keeps the latest rating of each pair, so the replays count once.
stored = stored.sort_values(["rated_at", "partition", "offset"]).drop_duplicates(["user_id", "movie_id"], keep="last")
sent = pd.read_csv(sys.argv[2]).set_axis(["user_id", "movie_id", "rating", "rated_at"], axis=1)
sent["rated_at"] = pd.to_datetime(sent["rated_at"], unit="s", utc=True)
is_live = stored["user_id"] > 1_000_000
assert is_live.sum() == live, "a live rating is missing"
columns = ["user_id", "movie_id", "rating", "rated_at"]
both = stored[~is_live][columns].merge(sent.astype(stored[columns].dtypes.to_dict()), on=columns, how="outer", indicator=True)
assert len(both) == len(sent) and (both["_merge"] == "both").all(), "the stored ratings are not those of the file"
users = pd.read_parquet(warehouse / "recommendations" / "latest" / "users")
assert set(sent["user_id"]) <= set(users["user_id"]), "a user has no list"
print(f"  {len(names)} directories, {len(stored):,} ratings as in the file; {users['user_id'].nunique():,} users with lists")
P
}

clean_up() {
  local code=$?
  [ $code = 0 ] || compose logs --no-color --tail 20 >&2 2>/dev/null || true
  compose --profile replay down -v >/dev/null 2>&1 || true
  rm -rf "$OUT"
  exit $code
}
trap clean_up EXIT
main
