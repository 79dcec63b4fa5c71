# To be sourced: puts Debian's mosquitto on the PATH, and installs it where that is allowed.
PATH=$PATH:/usr/sbin
if ! command -v mosquitto >/dev/null; then
  root=()
  [[ $(id -u) -eq 0 ]] || root=(sudo -n)
  if command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; then
    "${root[@]}" apt-get update -q >&2
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mosquitto >&2
  else
    echo 'missing: mosquitto. Install it: sudo apt-get install mosquitto' >&2
    exit 1
  fi
fi
