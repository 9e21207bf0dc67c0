# systemd-sysusers would need the file that comes with the package.
getent group outpost >/dev/null || groupadd -r outpost
getent group outpost-till >/dev/null || groupadd -r outpost-till
getent passwd outpost >/dev/null ||
    useradd -r -g outpost -d /var/lib/outpost -s /sbin/nologin -c 'Outpost agent' outpost
