from billfleet_db import migrate
from billfleet_db.scripts import script_location


def test_the_scripts_are_found_and_the_newest_revision_has_its_sql() -> None:
    assert (script_location() / "env.py").is_file()
    assert sorted((script_location() / "sql" / migrate.head()).glob("*.sql"))
