# On an upgrade the agent goes on until the new one is there.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now outpost.service || :
fi
