//! Changes of the device's network, where the system reports them: on Linux, links and addresses that come or go.
//!
//! A change does not mean that Target can be reached, only that it is worth a try.

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

    /// Links, IPv4 addresses and IPv6 addresses. Source: rtnetlink(7), RTMGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;

    /// A subscription to the kernel's notices, received like any datagrams.
    pub struct Subscription(tokio::net::UnixDatagram);

    impl Subscription {
        pub fn open() -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // Without a protocol it is the socket of routes, links and addresses.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            tokio::net::UnixDatagram::from_std(UnixDatagram::from(socket)).map(Self)
        }

        /// Waits for a notice. Its content does not matter.
        pub async fn next(&mut self) -> io::Result<()> {
            match self.0.recv(&mut [0_u8; 256]).await {
                // Losing notices because there were too many also means a change.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        }
    }
}

/// A watch over the network, which reports nothing where the system does not.
pub struct NetworkWatch {
    #[cfg(target_os = "linux")]
    subscription: Option<linux::Subscription>,
}

impl NetworkWatch {
    /// Starts watching. Call it within a tokio runtime.
    #[must_use]
    pub fn begin() -> Self {
        #[cfg(target_os = "linux")]
        let subscription = linux::Subscription::open()
            .inspect_err(|error| tracing::debug!(%error, "the system tells nothing of the network"))
            .ok();
        Self {
            #[cfg(target_os = "linux")]
            subscription,
        }
    }

    /// Waits until something changes. The future may be dropped and another one started.
    pub async fn changed(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(subscription) = &mut self.subscription {
            match subscription.next().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, "the system tells no more of the network");
                    self.subscription = None;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
