# The data in /var/lib/outpost stays: it may hold what Target has not got yet.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart outpost.service || :
    fi
fi
