//! Who listens on a port, as far as `/proc` tells. A guess for an error message, nothing to act on.

use std::fs;

/// Such as `nginx (process 812)`; `None` where `/proc` doesn't tell.
pub(super) fn port_owner(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let pid = process.file_name().to_str()?.parse::<u32>().ok()?;
        let fds = fs::read_dir(process.path().join("fd")).ok()?;
        let holds = fds.flatten().any(|fd| {
            fs::read_link(fd.path())
                .ok()
                .and_then(|target| {
                    let target = target.to_str()?;
                    let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
                    Some(inodes.iter().any(|it| it == inode))
                })
                .unwrap_or(false)
        });
        if !holds {
            return None;
        }
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim()))
    })
}

/// The inodes of sockets that listen on `port`, from the kernel's table.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let tail = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            (*state == LISTEN && local.ends_with(&tail)).then(|| (*inode).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n   \
             1: 0100007F:1F92 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 99 1\n";
        assert_eq!(listening_inodes(table, 8082), ["12345"]);
        assert!(listening_inodes(table, 80).is_empty());
        assert!(listening_inodes("", 80).is_empty());
    }
}
