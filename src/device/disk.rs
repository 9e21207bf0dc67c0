//! Presence of a disk: what is written to an empty mount point is hidden once the disk comes.

use std::path::Path;

/// Returns true if a disk is mounted at that path. A directory of the disk above it is none, nor is a path that is not there.
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
    // A drive that is not there has no root.
    #[cfg(not(unix))]
    path.exists()
}
