"""Errors of the disk, such as a full one, and too many open files, as one line with the way out."""

import errno

KNOWN = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG,
    errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP,
    errno.EMFILE, errno.ENFILE,
}  # fmt: skip
WAYS_OUT = {errno.EMFILE: "allow more open files, as by `ulimit -n 4096`"}


def one_line(error: OSError) -> str | None:
    """What happened to which file; None for an error that is not of the disk."""
    if error.errno not in KNOWN:
        return None
    file = "" if error.filename is None else f": {error.filename}"
    way_out = WAYS_OUT.get(error.errno, "mend it")
    return f"{error.strerror}{file}; {way_out}, and the same command goes on from here"
