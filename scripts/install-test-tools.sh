#!/bin/sh
# Installs what the tests drive and pip cannot bring: Chromium (pages, mails), Postfix (delivery), systemd-analyze,
# openssl (certificates), and Node with what caniemail.com knows of mail programs.
# Without root it only says what is missing; the tests that need it are then reported as skipped.
set -eu
cd "$(dirname "$0")/.."
missing=
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
if ! command -v postfix >/dev/null 2>&1; then
    if [ -e /usr/sbin/sendmail ]; then
        echo "Another mail server is installed, which Debian's postfix would replace: its tests are skipped." >&2
    else
        missing="$missing postfix"
    fi
fi
command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
# Playwright, which steers Chromium, brings a Node of its own; on Linux that needs a library which a bare Debian lacks.
if [ "$(uname)" = Linux ] && ! .venv/bin/python -c 'import ctypes; ctypes.CDLL("libatomic.so.1")' 2>/dev/null; then
    missing="$missing libatomic1"
fi
if [ -z "$missing" ]; then
    :
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing for the tests …"
    apt-get update -qq
    # Without /etc/postfix/main.cf no Postfix of this machine starts: the tests run one of their own.
    case $missing in
        *postfix*) echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections ;;
    esac
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif command -v apt-get >/dev/null 2>&1; then
    echo "Not installed:$missing. Tests that need it are skipped; 'sudo apt-get install$missing' lets them run." >&2
else
    echo "Not installed:$missing (as Debian calls them). Tests that need it are skipped." >&2
fi
# Chromium without a window of its own opens a page in a fifth of the time. The tests run without it too, so it is only
# tried: nothing waits long for a network, and nothing that is there is exchanged for it.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && ! command -v chromium-headless-shell >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-upgrade --no-remove \
        -o Acquire::Retries=0 -o Acquire::http::Timeout=20 chromium-headless-shell >/dev/null 2>&1 ||
        echo "chromium-headless-shell could not be installed: the tests open their pages in Chromium." >&2
fi
cd tests/node
if command -v npm >/dev/null 2>&1 && ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --silent --no-audit --no-fund && cp package-lock.json node_modules/.installed ||
        echo "npm could not install tests/node: its test is skipped." >&2
fi
