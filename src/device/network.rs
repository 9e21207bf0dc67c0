//! News of the device's network, where the system tells: on Linux a link or an address that came or went.
//!
//! Nothing here says whether Target can be reached: only that it is worth a try.

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

    /// Links, IPv4 addresses and IPv6 addresses. Source: rtnetlink(7), RTMGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;

    /// A subscription to the kernel's news. It is received from as from any socket of datagrams.
    pub struct Subscription(tokio::net::UnixDatagram);

    impl Subscription {
        pub fn open() -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // Without a protocol it is the one of routes, links and addresses.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            tokio::net::UnixDatagram::from_std(UnixDatagram::from(socket)).map(Self)
        }

        /// Waits for news. What they say does not matter.
        pub async fn next(&mut self) -> io::Result<()> {
            match self.0.recv(&mut [0_u8; 256]).await {
                // So much news that some was lost is news too.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        }
    }
}

/// A watch over the network; it says nothing where the system says nothing.
pub struct NetworkWatch {
    #[cfg(target_os = "linux")]
    subscription: Option<linux::Subscription>,
}

impl NetworkWatch {
    /// Begins to watch. Call it within a tokio runtime.
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

    /// Waits until something changed. It may be dropped and called again.
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
