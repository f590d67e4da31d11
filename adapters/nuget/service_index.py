"""The service index: which resources there are and where, below the address that was asked for (nuget.md §1).

Pure. Every client looks for other types, so most resources stand here under several; the paths are kept for good,
since clients remember them for half an hour.
"""

from typing import Any

from adapters.nuget.registration import PATHS

_SEARCH = ("", "/3.0.0-beta", "/3.0.0-rc", "/3.5.0")
_VERSIONED = "RegistrationsBaseUrl/Versioned"
_FIXED = (
    ("flat/", ("PackageBaseAddress/3.0.0",)),
    ("registration/", ("RegistrationsBaseUrl", "RegistrationsBaseUrl/3.0.0-beta", "RegistrationsBaseUrl/3.0.0-rc")),
    ("registration-gz/", ("RegistrationsBaseUrl/3.4.0",)),
    ("registration-semver2/", ("RegistrationsBaseUrl/3.6.0",)),
    ("search", tuple(f"SearchQueryService{version}" for version in _SEARCH)),
    ("autocomplete", tuple(f"SearchAutocompleteService{version}" for version in _SEARCH)),
    ("package", ("PackagePublish/2.0.0",)),
    ("symbolpackage", ("SymbolPackagePublish/4.9.0",)),
    ("v2", ("LegacyGallery/2.0.0",)),
)
_SIGNATURES = ("RepositorySignatures/4.7.0", "RepositorySignatures/4.9.0", "RepositorySignatures/5.0.0")


def render(base: str, details: str, *, has_vulnerabilities: bool, has_signatures: bool) -> dict[str, Any]:
    """The index for resources below `base`, which ends in a slash. Clients take some only where they are https.

    details: where a person reads about the package `{id}`, or empty.
    """
    resources = [{"@id": f"{base}{path}", "@type": kind} for path, kinds in _FIXED for kind in kinds]
    versioned = next(path for path, has_all in PATHS.items() if has_all)
    resources.append({"@id": f"{base}{versioned}/", "@type": _VERSIONED, "clientVersion": "4.3.0-alpha"})
    if has_vulnerabilities:
        resources.append({"@id": f"{base}vulnerabilities/index.json", "@type": "VulnerabilityInfo/6.7.0"})
    if has_signatures and base.startswith("https://"):
        address = f"{base}repository-signatures/index.json"
        resources += [{"@id": address, "@type": kind} for kind in _SIGNATURES]
    if base.startswith("https://"):
        readme = f"{base}flat/{{lower_id}}/{{lower_version}}/readme"
        resources.append({"@id": readme, "@type": "ReadmeUriTemplate/6.13.0"})
    if details.startswith("https://"):
        resources.append({"@id": details, "@type": "PackageDetailsUriTemplate/5.1.0"})
    return {"version": "3.0.0", "resources": resources}
