# What the scripts of this folder share. It is sourced at the top of the repository.

# Nothing of the machine that builds is in what is built, and the same commit gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
OUTPOST_COMMIT=${OUTPOST_COMMIT:-$(git rev-parse --short=12 HEAD)}
export SOURCE_DATE_EPOCH OUTPOST_COMMIT
VERSION=$(sed -nE 's/^version = "(.*)"/\1/p' Cargo.toml | head -n1)
OUT=target/packages
TOOLS=target/packaging-tools

# need_package COMMAND PACKAGE...: Debian packages, unless the command is there.
need_package() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need_crate NAME VERSION: a cargo subcommand, unless it is there.
need_crate() {
    cargo "${1#cargo-}" --version >/dev/null 2>&1 || cargo install --quiet --locked "$1@$2"
}

# Zig links for a glibc of our choice, whatever the machine has.
need_zig() {
    [[ -x $TOOLS/bin/cargo-zigbuild ]] || {
        python3 -c 'import ensurepip' 2>/dev/null || need_package no-such-command python3 python3-venv
        python3 -m venv "$TOOLS"
        "$TOOLS/bin/pip" install --quiet --disable-pip-version-check ziglang==0.17.1 cargo-zigbuild==0.24.1
    }
    PATH=$PWD/$TOOLS/bin:$PATH
}

# The compiler of Debian that comes with the sources of the standard library: for the targets that ours has none for.
need_build_std() {
    need_package /usr/bin/cargo cargo-web rustc-web rust-web-src
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
}

# rust_flags, c_flags: paths of this machine become those of no machine.
CARGO_FILES=${CARGO_HOME:-$HOME/.cargo}
c_flags() { echo "-ffile-prefix-map=$PWD=/outpost -ffile-prefix-map=$CARGO_FILES=/cargo"; }
rust_flags() {
    echo "--remap-path-prefix=$PWD=/outpost --remap-path-prefix=$CARGO_FILES=/cargo --remap-path-prefix=$(rustc --print sysroot)=/rust"
}
