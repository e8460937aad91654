#!/bin/sh
# cmake/deps.sh build|test|check: the Debian packages that building, testing or checking needs are there, or are
# installed when root runs this; for anybody else the command that installs them is printed and nothing is done.
set -eu

build="gcc libc6-dev cmake make pkg-config libsqlite3-dev libyaml-dev libpcre2-dev libjansson-dev libmd-dev zlib1g-dev"
test="libcmocka-dev clang clang-format libclang-rt-dev libomp-dev llvm"
check="clang-tidy"
case "${1:-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
check) wanted="$build $test $check" ;;
*) echo "usage: cmake/deps.sh build|test|check" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: no dpkg here, so nothing is checked; wanted, by Debian's names: $wanted"
    exit 0
fi
missing=
for package in $wanted; do
    state=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null) || state=
    case " $state" in
    *" installed "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
    echo "deps: these packages are missing:$missing" >&2
    echo "deps: install them as root, then try again:" >&2
    echo "    apt-get update && $install" >&2
    exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
$install
