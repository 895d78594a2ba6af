# launch HOME PROGRAM [ARGUMENT...]: becomes PROGRAM, whose process id is then known beforehand.
home=$1
shift
echo $$ >"$home/server/pid" || exit 1
[ ! -e "$home/closed" ] || exit 1
exec "$@"
