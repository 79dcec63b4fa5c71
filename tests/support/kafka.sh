#!/usr/bin/env bash
# A real Apache Kafka (KRaft: broker and controller in one process) from its published JARs. By hand:
#   tests/support/kafka.sh start DIR     prepares DIR when it is new, starts, prints the bootstrap address
#   tests/support/kafka.sh stop DIR      stops it; its data stays in DIR
# For the test harness, which owns the process itself:
#   tests/support/kafka.sh jars          fetches the JARs into the cache, prints their folder
#   tests/support/kafka.sh prepare DIR   chooses ports, writes the configuration and a certificate, formats the storage
#   tests/support/kafka.sh run DIR       becomes Kafka, in the foreground
# DIR/kafka.env then holds PLAINTEXT=host:port and SASL_SSL=host:port; DIR/tls/ca.pem is the certificate to trust;
# the user of the SASL_SSL listener is API_KEY with the password api-secret, as a Confluent API key would be.
# It listens on loopback only and must never touch anything outside DIR and the cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka_version=4.4.0
slf4j_version=1.7.36
cache=${MILLSTREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millstream}
jars=$cache/kafka-$kafka_version

fail() { echo "kafka.sh: $*" >&2; exit 1; }

fetch_jars() {
  [[ -e $jars/complete ]] && return
  command -v mvn >/dev/null || fail "Maven (mvn) is missing: it fetches Kafka's JARs; install Debian's 'maven'"
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/kafka-XXXXXX")
  cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$slf4j_version</version></dependency>
  </dependencies>
</project>
POM
  (cd "$work" && mvn -B -q dependency:copy-dependencies -DoutputDirectory="$work/jars" >&2) ||
    { rm -rf "$work"; fail "Maven could not fetch Kafka $kafka_version"; }
  touch "$work/jars/complete"
  rm -rf "$jars"
  # Of two scripts that fetch at once, the slower one finds the folder there and keeps it.
  mv -T "$work/jars" "$jars" 2>/dev/null || [[ -e $jars/complete ]]
  rm -rf "$work"
}

# A port that nobody has and that the system will not hand out by itself, so that it stays free over a restart.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  fail "no free port between 20000 and 32000"
}

prepare() {
  local dir=$1
  [[ -e $dir/kafka.env ]] && return
  fetch_jars
  mkdir -p "$dir/tls" "$dir/data"
  local plain tls controller
  plain=$(free_port)
  tls=$(free_port)
  controller=$(free_port)
  [[ $plain != "$tls" && $plain != "$controller" && $tls != "$controller" ]] || { prepare "$dir"; return; }
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout "$dir/tls/key.pem" -out "$dir/tls/ca.pem" 2>/dev/null || fail "openssl could not make a certificate"
  cat "$dir/tls/key.pem" "$dir/tls/ca.pem" >"$dir/tls/keystore.pem"
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://localhost:$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_API_KEY="api-secret";
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/keystore.pem
log.dirs=$dir/data
num.partitions=4
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=268435456
controlled.shutdown.enable=false
PROPERTIES
  local id
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d =)
  java_kafka -Xmx128m kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; fail "Kafka's storage could not be formatted in $dir"; }
  printf 'PLAINTEXT=127.0.0.1:%s\nSASL_SSL=localhost:%s\n' "$plain" "$tls" >"$dir/kafka.env.new"
  mv "$dir/kafka.env.new" "$dir/kafka.env"
}

java_kafka() {
  # shellcheck disable=SC2086 # KAFKA_JVM holds several options
  java ${KAFKA_JVM:--XX:TieredStopAtLevel=1} -XX:+UseSerialGC -cp "$jars/*" "$@"
}

run() {
  local dir=$1
  [[ -e $dir/kafka.env ]] || fail "$dir is not prepared: run 'kafka.sh prepare $dir' first"
  fetch_jars
  # shellcheck disable=SC2086
  exec java ${KAFKA_JVM:--XX:TieredStopAtLevel=1} -XX:+UseSerialGC -Xms256m -Xmx512m -cp "$jars/*" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.Kafka "$dir/server.properties"
}

start() {
  local dir=$1 address
  prepare "$dir"
  # shellcheck source=/dev/null
  address=$(. "$dir/kafka.env" && echo "$PLAINTEXT")
  setsid "$here/kafka.sh" run "$dir" >>"$dir/kafka.log" 2>&1 </dev/null &
  echo $! >"$dir/kafka.pid"
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then echo "$address"; return; fi
    kill -0 "$(<"$dir/kafka.pid")" 2>/dev/null || { tail -20 "$dir/kafka.log" >&2; fail "Kafka stopped; see $dir/kafka.log"; }
    sleep 0.1
  done
  fail "Kafka does not answer at $address after 30 s; see $dir/kafka.log"
}

stop() {
  local dir=$1 pid
  [[ -e $dir/kafka.pid ]] || fail "no Kafka was started in $dir"
  pid=$(<"$dir/kafka.pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/kafka.pid"
}

case ${1:-} in
  jars) fetch_jars; echo "$jars" ;;
  prepare | run | start | stop)
    [[ $# -eq 2 ]] || fail "usage: kafka.sh $1 DIR"
    mkdir -p "$2"
    "$1" "$(cd "$2" && pwd)"
    ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
