"""Which pictures may be mirrored: not those whose words name a direction, a sign or writing.

Such a picture, mirrored, contradicts its words, shows another sign (undo and redo, a waxing and a
waning moon, three and nine o'clock, the flags of Ireland and Ivory Coast), or shows none. Words are
listed by kind, and generously: a picture that could have been mirrored is only seen less often.
"""

import re

_KINDS = {
    "directions": "left right \\w*wards? \\w*clockwise north south east west front back first last"
    " next previous before after start end begin fast slow track skip step turn directions?"
    " steering horizontal side(bar)? corner tilted pointing facing walk(ing)? run(ning)? kneeling"
    " cane wheelchair traffic road routes? navigation compass",
    "arrows": "\\w*arrows? chevrons? carets? angles? triangles? play (un|re)do reply share\\w* send"
    " re(wind|play|load|fresh|start|store|peat|new|cycl\\w+|turn|set|order|direct) autorenew sync"
    " update histor(y|ic) loop cached cycle rotat\\w+ swap exchange transfer transit(ion)? shuffle"
    " convert log(in|out) import export enter exit departure arrival made received missed incoming"
    " outgoing inbox outbox external merge fork split branch diff pull move drag pan swipe slide"
    " scroll tab indent outdent backspace \\w+burger call expand collapse message",
    "mirrors": "mirror\\w* flip\\w* reflect\\w* reverse invert skew italic perspective \\w*slash"
    " unbalanced phone dna helix spiral screw\\w*",
    "levels": "chart graph trend\\w* increasing decreasing rise decline elevation ascending"
    " descending sort gauge \\w*meters? tachometer level progress signal strength bars cellular"
    " toggle switch slope stairs escalator ramp finance slice half quarters? timeline network",
    "sky": "\\w*moon crescent waxing waning gibbous eclipse cyclone hurricane galaxy",
    "time": "\\w*clock o['\u2019]clock \\w+-thirty \\w*watch timer alarm hours? minutes? time\\w*"
    " date calendar day month today schedule",
    "flags and maps": "flags? banner windsock maps? globe earth world continent japan africa asia",
    "mathematics": "greater less than equals? math\\w* divide division decimal percent\\w* exponent"
    " variable function formula sigma pi omega beta lambda square.root integral calculator axis"
    " vector tally abacus contain ray boolean relation dice die ball slot points",
    "writing": "alpha\\w* numeric num(ber|eral)s? letters? digits? digital roman text fonts? format"
    " \\w*case latin japanese syllabary ideogram abjad abugida furigana typography translate"
    " language words? spell\\w* signs? signature \\w*script subtitles captions? title heading"
    " header paragraph quot(e|es|ation) comma question help faq info\\w* exclamation ampersand at"
    " hash\\w* asterisk code\\w* markdown regex terminal console command braille list menu playlist"
    " align\\w* justify wrap ballot checklist button keycap input output key(board|pad) barcode"
    " qrcode medal badge license passport parking quality definition size bold strikethrough"
    " underline hotel taxi zzz vs ok no sos atm id ip vpn gps ssid nfc sd hd hq gif pdf html xml"
    " json csv sql php api usb rss tv vhs dvd dns http\\w* www sms svg png jpg raw hdr lte vr ai ad"
    " advert\\w*",
    "symbols": "symbols? check\\w* \\w*tick done task\\w* verified approv\\w+ zodiac aries taurus"
    " gemini cancer leo virgo libra scorpio sagittarius capricorn aquarius pisces ophiuchus yin"
    " yang om khanda hamsa (fe)?male gender mars venus mercury copy(right|left) registered"
    " trade.?mark creative.commons peace recycling radioactive biohazard fleur prescription medical"
    " alternation music\\w* notes? clef treble bass score midi joker mahjong cards? chess lotus"
    " bluetooth",
    "money": "currency dollar euro pound sterling yen yuan won rupee ruble rupiah lira peso peseta"
    " shekel sheqel tenge tugrik hryvnia naira baht cedi dong franc kip lari manat guarani florin"
    " colon cruzeiro austral taka mill real bitcoin litecoin ethereum cash money banknote coins?"
    " price sale usd eur gbp ils inr jpy krw rub try invoice",
    "logos": "aws azure gcp alibabacloud oci ibm onprem saas firebase elastic digitalocean"
    " openstack outscale amazon google facebook microsoft github gitlab bitbucket linkedin twitter"
    " youtube instagram pinterest netflix yahoo spotify skype slack vimeo wordpress whatsapp"
    " wikipedia wechat twitch reddit quora dropbox docker kubernetes debian fedora ubuntu linux"
    " freebsd angular react vuejs nodejs npm jquery laravel drupal android",
    # A number behind everything else only counts variants.
    "letters and digits": "[b-z] ^\\w$ \\d+\\w*(?=\\s) \\d+[a-z]+ [a-z]+\\d\\w*",
}
_HANDED = re.compile(rf"\b({'|'.join(' '.join(_KINDS.values()).split())})\b", re.IGNORECASE)


def is_handed(text: str) -> bool:
    """Whether words forbid mirroring the picture that they describe.

    >>> [is_handed(text) for text in ("undo variant", "flag of peru", "thumbs up", "a cat 3")]
    [True, True, False, False]
    """
    return _HANDED.search(text) is not None
