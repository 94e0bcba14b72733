#!/usr/bin/env bash
# Boots a kernel under qemu, and keeps its trace of the lock requests of locks.c beside the account of that program. With
# WALTOP, a waltop in the guest also traces two sqlite3 shells:
#
#     tests/kernels/record.sh VMLINUZ FOLDER [WALTOP]
#
# `apt-get download linux-image-…-cloud-amd64` (from 6.19 on `linux-binary-…`) and `dpkg -x` unpack a kernel of Debian
# without installing it. The script needs the packages qemu-system-x86, busybox-static, cpio and gcc, and with WALTOP
# the package sqlite3. It takes half a minute.
set -euo pipefail
kernel=$(realpath "$1") folder=$(realpath -m "$2") waltop=${3:+$(realpath "$3")}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/bin"
cp /bin/busybox "$work/root/bin/"
cp "$here/init.sh" "$work/root/init"
chmod +x "$work/root/init"
gcc -O2 -Wall -Wextra -static -pthread -o "$work/root/bin/locks" "$here/locks.c"
if [ -n "$waltop" ]; then
    cp "$waltop" "$work/root/bin/waltop"
    cp "$(command -v sqlite3)" "$work/root/bin/sqlite3"
    for library in $(ldd "$waltop" "$work/root/bin/sqlite3" | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
        install -D "$(realpath "$library")" "$work/root$library"
    done
fi
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

# By the instructions that it executed, the guest's time is the same on a busy machine.
timeout 300 qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -cpu max -smp 1 -m 512 \
    -nodefaults -display none -no-reboot -kernel "$kernel" -initrd "$work/initrd" \
    -append 'console=ttyS0 quiet panic=-1 mitigations=off' -serial "file:$work/console" \
    -serial "file:$work/out.tar" </dev/null
mkdir -p "$folder"
tar -x -m -C "$folder" -f "$work/out.tar" || { cat "$work/console"; exit 1; }
