"""What an Ogg Opus file spends on sound (RFC 3533, RFC 7845)."""

HEADERS = 2  # packets before the first of sound, each ending its page


def pages(data):
    """Of each page: the lengths of its segments."""
    begin = 0
    while begin < len(data):
        if data[begin:begin + 4] != b"OggS":
            raise ValueError(f"no Ogg page at byte {begin}")
        count = data[begin + 26]
        segments = data[begin + 27:begin + 27 + count]
        yield segments
        begin += 27 + count + sum(segments)


def packet_bytes(data):
    """Of the sound's packets, without the container's headers."""
    total, ended = 0, 0
    for segments in pages(data):
        if ended >= HEADERS:
            total += sum(segments)
        ended += sum(length < 255 for length in segments)
    return total
