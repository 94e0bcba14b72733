#!/bin/busybox sh
# The first process of the guest that record.sh boots: traces the requests of `locks`, and lets waltop, if it is there,
# trace two sqlite3 shells. The results leave as a tar archive by the second serial port.
/bin/busybox --install -s /bin
export HOME=/root PATH=/bin
mkdir -p /proc /sys /dev /root /tmp /out /data
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tracefs none /sys/kernel/tracing
mount -t tmpfs none /data
cd /data || exit 1
touch a.db a.db-shm other

instances=/sys/kernel/tracing/instances
trace=$instances/waltop-record
mkdir $trace
echo 512 >$trace/buffer_size_kb
echo boot >$trace/trace_clock
# The major number of a tmpfs is 0, so that `stat` shows its device as the filter takes it.
device=$(printf %d "0x$(stat -c %D a.db)")
filter="(i_ino==$(stat -c %i a.db) && s_dev==$device && fl_start<=1073742335 && fl_end>=1073741824) || \
(i_ino==$(stat -c %i a.db-shm) && s_dev==$device && fl_start<=128 && fl_end>=120)"
for event in posix_lock_inode locks_remove_posix; do
    echo "$filter" >$trace/events/filelock/$event/filter
    cat $trace/events/filelock/$event/format >/out/$event.format
    echo 1 >$trace/events/filelock/$event/enable
done
locks >/out/requests
timeout 1 cat $trace/trace_pipe >/out/trace_pipe
for event in posix_lock_inode locks_remove_posix; do
    echo 0 >$trace/events/filelock/$event/enable
done
cat /proc/version >/out/version
stat -c '%n %i %D' a.db a.db-shm >/out/files
rmdir $trace

if [ -x /bin/waltop ]; then
    rm -f a.db*
    mkfifo /tmp/holder /tmp/victim
    sqlite3 a.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (x);' >/dev/null
    sqlite3 a.db </tmp/holder &
    echo "holder $!" >/out/shells
    exec 5>/tmp/holder
    sqlite3 a.db </tmp/victim >/out/victim 2>&1 &
    echo "victim $!" >>/out/shells
    exec 6>/tmp/victim
    echo 'SELECT count(*) FROM t;' >&6
    waltop status a.db --for 20s --trace on --json >/out/status.json 2>/out/status.err &
    waltop=$!
    until grep -q 1 $instances/waltop-*/events/filelock/locks_remove_posix/enable 2>/dev/null; do
        kill -0 $waltop || break
        sleep 0.1
    done
    echo 'BEGIN IMMEDIATE; INSERT INTO t VALUES (1);' >&5
    sleep 1
    printf '%s\n' '.timeout 600' 'BEGIN IMMEDIATE;' >&6
    sleep 2
    echo 'COMMIT;' >&5
    sleep 1
    echo 'INSERT INTO t VALUES (2);' >&6
    ls $instances >/out/instances
    wait $waltop
    echo "status $?" >>/out/instances
    ls $instances >>/out/instances
fi

stty -F /dev/ttyS1 raw
tar -c -C /out . >/dev/ttyS1
sleep 1
poweroff -f
