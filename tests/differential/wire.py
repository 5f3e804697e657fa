"""RESP as bytes: commands made, replies cut into whole frames without being understood."""


def encode(*words):
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Splitter:
    """Cuts a stream of replies (RESP2 and RESP3) into its top-level frames, however the bytes come."""

    _BULK = frozenset(b"$=!")
    _AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}

    def __init__(self):
        self._bytes = bytearray()
        self._at = 0        # of the element that is looked at next
        self._open = []     # elements that are still to come, of each aggregate around it

    def feed(self, more):
        """The frames that are whole now."""
        self._bytes += more
        frames = []
        while self._element():
            if not self._open:
                frames.append(bytes(self._bytes[:self._at]))
                del self._bytes[:self._at]
                self._at = 0
        return frames

    def rest(self):
        return bytes(self._bytes)

    def _element(self):
        line_end = self._bytes.find(b"\r\n", self._at)
        if line_end < 0:
            return False
        kind, end = self._bytes[self._at], line_end + 2
        length = -1
        if kind in self._BULK or kind in self._AGGREGATES:
            length = int(self._bytes[self._at + 1:line_end] or b"0")
        if kind in self._BULK and length >= 0:
            end += length + 2
            if len(self._bytes) < end:
                return False
        if kind == ord(">") and self._open:  # a message among the elements of EXEC is none of them
            word = bytes(self._bytes[end:end + 4])
            if len(word) < 4 and length > 0:
                return False
            if word in (b"$7\r\n", b"$8\r\n"):
                self._open[-1] += 1
        self._at = end
        if kind == ord("|"):  # attributes stand in front of the reply that they belong to, and are no element
            self._open.append(2 * length + 1)
            if length >= 0:
                return True
        elif length > 0 and kind in self._AGGREGATES:
            self._open.append(length * self._AGGREGATES[kind])
            return True
        while self._open:
            self._open[-1] -= 1
            if self._open[-1] > 0:
                break
            self._open.pop()
        return True


def show_command(piece):
    """A command for people: its words where it is made of them, else its bytes."""
    splitter = Splitter()
    try:
        whole = splitter.feed(piece)
    except ValueError:
        whole = []
    if len(whole) != 1 or splitter.rest() or piece[:1] != b"*" or encode(*(words := _words(piece))) != piece:
        return f"raw {show(piece)}"
    shown = [show(word) if not word or set(word) - _PLAIN else word.decode() for word in words[:12]]
    return " ".join(shown) + (f" ... {len(words)} words" if len(words) > 12 else "")


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:.,*+~&@%>(|")


def _words(command):
    """Of a whole, right command of bulk strings; else anything."""
    words, at = [], command.find(b"\r\n") + 2
    while at < len(command):
        end = command.find(b"\r\n", at)
        length = int(command[at + 1:end] or b"0") if command[at:at + 1] == b"$" else 0
        words.append(command[end + 2:end + 2 + length])
        at = end + 4 + length
    return words


def show(data, most=160):
    """Bytes for people."""
    text = repr(bytes(data))[1:]
    return text if len(text) <= most else f"{text[:most * 2 // 3]} ...{len(data)} bytes... {text[-most // 3:]}"
