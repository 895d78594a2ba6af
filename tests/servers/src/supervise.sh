# supervise HOME SIGNAL: waits until the owner closes our standard input, then stops the server
# and removes HOME.
home=$1
signal=$2
trap '' INT HUP TERM

cat >/dev/null

: >"$home/closed"
pid=$(cat "$home/server/pid" 2>/dev/null)

# A dead server whose new parent does not collect it stays as a zombie: that is dead enough.
# The home in its command line tells it from another process that got the same id since.
serves() {
    [ -n "$pid" ] || return 1
    [ ! -d /proc/self ] || grep -qF "$home/" "/proc/$pid/cmdline" 2>/dev/null || return 1
    kill -0 "$pid" 2>/dev/null
}

tries=0
while serves && [ $tries -lt 500 ]; do
    [ $tries -ne 0 ] || kill -"$signal" "$pid" 2>/dev/null
    [ $tries -ne 400 ] || kill -9 "$pid" 2>/dev/null
    tries=$((tries + 1))
    sleep 0.01
done

# Again while children of a killed server still write.
tries=0
until rm -rf "$home" 2>/dev/null || [ $tries -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
