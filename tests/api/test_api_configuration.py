"""What is configured and what was delivered, over REST: an operator sees all of it, a tenant its own part."""

from api_support import TENANTS, Api


def test_a_tenant_sees_its_deliveries_without_where_they_go_and_an_operator_with(served: Api) -> None:
    for tenant in TENANTS:
        (own,) = served.client(tenant, "compliance").get("/api/v1/deliveries").json()["items"]
        assert (own["tenant"], own["state"], own["document"]) == (tenant, "waiting", "json")
        assert not {"target", "last_error"} & own.keys()
    everything = served.client("*", "compliance").get("/api/v1/deliveries").json()["items"]
    assert {(each["tenant"], each["target"], each["last_error"]) for each in everything} == {
        (tenant, "vault", "answered 500") for tenant in TENANTS
    }
    assert served.client("*", "admin").get("/api/v1/deliveries?state=delivered").json()["items"] == []


def test_documents_of_facts_are_pages_for_a_browser_and_json_for_a_program(served: Api) -> None:
    client = served.client("*", "compliance")
    for path, title in (("access-review", "Access review"), ("system-description", "System description")):
        page = client.get(f"/api/v1/{path}", headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert f"<h1>{title}</h1>" in page.text
        assert client.get(f"/api/v1/{path}").json()["title"] == title


def test_a_tenants_review_says_nothing_of_the_servers_logins(served: Api) -> None:
    theirs = served.client("acme", "compliance").get("/api/v1/access-review").json()
    assert "logins" not in {table["id"] for table in theirs["tables"]}
    everything = served.client("*", "compliance").get("/api/v1/access-review").json()
    assert "logins" in {table["id"] for table in everything["tables"]}
