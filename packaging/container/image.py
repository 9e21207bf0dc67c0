"""An OCI image as one archive, from files alone: no daemon, no network, the same bytes for the same files.

    image.py ROOT BINARY ARCHITECTURE VERSION COMMIT EPOCH ARCHIVE

ROOT is what the program needs below it; it becomes a layer of its own, which stays the same from one version to the next.
Source of the format: OCI image specification 1.1, image-layout, manifest and config.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

USER = 65532
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def entry(name, epoch, mode, kind=tarfile.REGTYPE, owner=0, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mtime, info.mode, info.uid, info.gid, info.linkname = kind, epoch, mode, owner, owner, link
    return info


def add_tree(layer, root, epoch):
    """Adds a tree in the order of its names. A file with the content of an earlier one becomes a link to it."""
    seen = {}
    paths = sorted(os.path.join(at, name) for at, dirs, files in os.walk(root) for name in dirs + files)
    for path in paths:
        name = os.path.relpath(path, root)
        if os.path.islink(path):
            layer.addfile(entry(name, epoch, 0o777, tarfile.SYMTYPE, link=os.readlink(path)))
        elif os.path.isdir(path):
            layer.addfile(entry(name, epoch, 0o755, tarfile.DIRTYPE))
        else:
            with open(path, "rb") as file:
                content = file.read()
            mode = 0o755 if os.access(path, os.X_OK) else 0o644
            first = seen.setdefault((content, mode), name)
            if first != name:
                layer.addfile(entry(name, epoch, mode, tarfile.LNKTYPE, link=first))
                continue
            info = entry(name, epoch, mode)
            info.size = len(content)
            layer.addfile(info, io.BytesIO(content))


def layer_of(fill):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as layer:
        fill(layer)
    plain = tar.getvalue()
    return plain, gzip.compress(plain, 9, mtime=0)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def main(root, binary, architecture, version, commit, epoch, archive):
    epoch = int(epoch)
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).isoformat().replace("+00:00", "Z")

    def program(layer):
        with open(binary, "rb") as file:
            content = file.read()
        info = entry("usr/bin/outpost", epoch, 0o755)
        info.size = len(content)
        layer.addfile(info, io.BytesIO(content))
        # Its only place to write, a volume: the rest may be read-only.
        layer.addfile(entry("var/lib/outpost", epoch, 0o750, tarfile.DIRTYPE, USER))

    layers = [layer_of(lambda layer: add_tree(layer, root, epoch)), layer_of(program)]
    labels = {
        "org.opencontainers.image.title": "Outpost",
        "org.opencontainers.image.description": "Records customer events on a device and forwards profile attributes to Adobe Target",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    config = {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "Env": ["PATH=/usr/bin", "XDG_STATE_HOME=/var/lib/outpost"],
            "Entrypoint": ["/usr/bin/outpost"],
            "Cmd": ["run"],
            "Volumes": {"/var/lib/outpost": {}},
            "WorkingDir": "/",
            "Labels": labels,
            "StopSignal": "SIGTERM",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(plain) for plain, _ in layers]},
        "history": [
            {"created": created, "created_by": "what the program needs below it"},
            {"created": created, "created_by": "the program"},
        ],
    }
    blobs = {}

    def blob(content, media):
        blobs[digest(content)] = content
        return {"mediaType": media, "digest": digest(content), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config, sort_keys=True).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(packed, LAYER) for _, packed in layers],
        "annotations": labels,
    }
    described = blob(json.dumps(manifest, sort_keys=True).encode(), "application/vnd.oci.image.manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": f"outpost:{version}"}
    described["platform"] = {"architecture": architecture, "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [described]}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index, sort_keys=True).encode()}
    files.update({"blobs/" + name.replace(":", "/"): content for name, content in blobs.items()})
    with tarfile.open(archive, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name in ["blobs", "blobs/sha256"]:
            out.addfile(entry(name, epoch, 0o755, tarfile.DIRTYPE))
        for name, content in sorted(files.items()):
            info = entry(name, epoch, 0o644)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


main(*sys.argv[1:])
