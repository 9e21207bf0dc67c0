//! Disks: whether one is mounted, because files written to an empty mount point are hidden once the disk is mounted;
//! and the kind of file system at a path.

use std::path::Path;

/// Returns true if a disk is mounted at a path. A directory on the disk above does not count, nor does a missing path.
#[must_use]
pub fn is_mounted(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let (Some(here), Some(above)) = (device(path), device(&path.join(".."))) else { return false };
        // The root is its own parent.
        here.0 != above.0 || here == above
    }
    // A missing drive has no root.
    #[cfg(not(unix))]
    path.exists()
}

/// NFS, SMB, SMB2, CIFS, FUSE and 9P. Source: statfs(2).
#[cfg(target_os = "linux")]
const REMOTE: [i128; 6] = [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546, 0x0102_1997];

/// FAT, exFAT and NTFS. Source: statfs(2), and `linux/magic.h`.
#[cfg(target_os = "linux")]
const OWNERLESS: [i128; 3] = [0x4D44, 0x2011_BAB0, 0x7366_746E];

/// Returns true if a path is on a file system to which other machines may write unseen.
#[must_use]
pub fn is_remote(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::statfs(path).is_ok_and(|found| REMOTE.contains(&magic(&found)));
    #[cfg(not(target_os = "linux"))]
    path.as_os_str().to_string_lossy().starts_with(r"\\")
}

/// tmpfs. Source: statfs(2).
#[cfg(target_os = "linux")]
const TMPFS: i128 = 0x0102_1994;

/// Returns true if a path is in memory and lost at the next start.
#[must_use]
pub fn is_in_memory(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::statfs(path).is_ok_and(|found| magic(&found) == TMPFS);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// Returns true if a file system records the owner of a file in terms of this machine's users.
#[cfg(unix)]
#[must_use]
pub fn keeps_owners(file: std::os::fd::BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::fstatfs(file).is_ok_and(|found| {
        let magic = magic(&found);
        !REMOTE.contains(&magic) && !OWNERLESS.contains(&magic)
    });
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        true
    }
}

#[cfg(target_os = "linux")]
fn magic(found: &rustix::fs::StatFs) -> i128 {
    i128::from(found.f_type) & 0xFFFF_FFFF
}
