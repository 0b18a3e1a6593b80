"""References of texts, and what they lead to."""

import pytest

from vgic.links import find_links, html
from vgic.prove import defects


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("CVE-2024-26598", "https://www.cve.org/CVERecord?id=CVE-2024-26598"),
        ("ad362fe07fec", "https://git.kernel.org/stable/c/ad362fe07fec"),
        ("v1 01/15", "https://lore.kernel.org/all/20240124204909.105952-2-oliver.upton@linux.dev/"),
        ("v1 15/15", "https://lore.kernel.org/all/20240124204909.105952-16-oliver.upton@linux.dev/"),
        ("v2 12/23", "https://lore.kernel.org/all/20240213093250.3960069-13-oliver.upton@linux.dev/"),
        ("Arm IHI 0069", "https://developer.arm.com/documentation/ihi0069/latest/"),
        ("Documentation/RCU/checklist.rst", "https://docs.kernel.org/RCU/checklist.html"),
    ],
)
def test_a_reference_is_found_in_a_sentence(text, url):
    sentence = f"See ({text}), and nothing else."
    (link,) = find_links(sentence)
    assert (link.text, sentence[link.start : link.end], link.url) == (text, text, url)


@pytest.mark.parametrize("text", ["", "123456789012", "abcdefabcdef", "v6.10", "CVE", "0x123456789abc", "v1 of 15"])
def test_what_is_no_reference_is_no_link(text):
    assert find_links(text) == []


def test_html_is_escaped_around_links():
    assert html("<b> CVE-2024-26598 & co") == (
        '&lt;b&gt; <a href="https://www.cve.org/CVERecord?id=CVE-2024-26598">CVE-2024-26598</a> &amp; co'
    )


def test_every_record_and_every_fix_of_the_catalogue_is_a_link():
    for defect in defects():
        for name in (defect.cve, defect.since_commit, *(commit for fix in defect.fixed for commit in fix.commits)):
            if name:
                assert [link.text for link in find_links(name)] == [name], defect.id
