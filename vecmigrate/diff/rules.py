"""The rules of `vecmigrate review`: their codes, which are stable, and what docs/review.md says of each."""

from __future__ import annotations

from typing import Final

from vecmigrate.diff.findings import Rule

# Documents × dimensions up to which FLAT answered faster than HNSW, and from which on it costs a server
# that answers one query at a time several milliseconds each. Measured on RediSearch 2.10.5: 2,500 × 384
# took 0.2 ms with FLAT and 0.5 ms with HNSW at EF_RUNTIME 200, 5,000 × 1,024 took 1.4 to 2.7 ms with FLAT.
FEW_NUMBERS: Final = 1_000_000
MANY_NUMBERS: Final = 20_000_000

_TABLE: Final = (
    Rule(
        code="index-dropped",
        level="error",
        what="An index is dropped.",
        why="Every query that still names it fails, and building it again takes as long as it took.",
        example='op.drop_index("skill")',
        fix="Deploy the services that do without it first; then allow the finding with the reason.",
    ),
    Rule(
        code="data-deleted",
        level="error",
        what="A migration deletes documents or other keys.",
        why="No downgrade brings them back.",
        example='op.drop_index("skill", documents=True), op.execute("DEL", "tool_embeddings")',
        fix="Keep the data for a release, delete it in a migration of its own, and say why it is not needed.",
    ),
    Rule(
        code="field-dropped",
        level="warning",
        what="A field goes away that generated helpers use.",
        why="Services that are still running ask for it: filters on it fail, results lack it.",
        example="-  headline: {type: text}",
        fix="Deploy the services whose helpers no longer know the field, then upgrade.",
    ),
    Rule(
        code="field-unsearchable",
        level="warning",
        what="A field that could be searched no longer can.",
        why="Queries that filter on it fail or find nothing.",
        example="-  category: {type: tag}\n+  category: {type: tag, index: false}",
        fix="Make sure that no caller filters on it, and deploy those changes first.",
    ),
    Rule(
        code="field-retyped",
        level="warning",
        what="A field becomes one of another type over the values that are stored.",
        why="Values are read in another way; a document whose value does not fit leaves the index.",
        example="-  category: {type: text}\n+  category: {type: tag}",
        fix="Look at the stored values; where callers need both, add a second field over the same `path`.",
    ),
    Rule(
        code="field-renamed",
        level="warning",
        what="A field is called otherwise, over the same stored values.",
        why="Queries, filters and results use the new name; services that still run ask by the old one.",
        example="-  title: {type: text}\n+  headline: {type: text, path: title, renamed_from: title}",
        fix="Change the callers in the same deploy, or keep the old field beside the new one for a release.",
    ),
    Rule(
        code="field-moved",
        level="warning",
        what="A field keeps its name and lies over other stored values.",
        why="The same query looks into other values, and nothing in the calling code shows it.",
        example="-  label: {type: tag}\n+  label: {type: tag, path: label_2}",
        fix="Make sure that the values under the new path are meant; then allow the finding with the reason.",
    ),
    Rule(
        code="search-moved",
        level="error",
        what="The plain search and store helpers are about another vector field than before.",
        why="They are about the primary vector field. One of the same size answers without an error.",
        example="-  body: {type: vector, dims: 384, primary: true}\n+  body: {type: vector, dims: 384}\n"
        "-  title: {type: vector, dims: 384}\n+  title: {type: vector, dims: 384, primary: true}",
        fix="Say `primary: true` of the same vector as before; where it is meant, allow it with the reason.",
    ),
    Rule(
        code="store-moved",
        level="warning",
        what="The values under a path are taken from another field of the spec than before.",
        why="Of several fields with one path the first is stored, by its own parameter and in its own form.",
        example="-  title: {type: text}\n   title_tag: {type: tag, path: title}\n+  title: {type: text}",
        fix="Put the fields back into their order, or change the callers that store in the same deploy.",
    ),
    Rule(
        code="sortable-removed",
        level="warning",
        what="A field that generated helpers return is no longer sortable.",
        why="Its value is then read from the document for each result, and sorting by it slows down.",
        example="-  year: {type: numeric, sortable: true}\n+  year: {type: numeric}",
        fix="Keep `sortable`, or measure the queries that sort by the field first.",
    ),
    Rule(
        code="helper-removed",
        level="warning",
        what="Generated code no longer has a function or class that it had.",
        why="Callers import it by name.",
        example="-  knn: {name: knn_search_skills}\n+  knn: {name: search_skills}",
        fix="Change the callers in the same deploy, or keep the name under `helpers`.",
    ),
    Rule(
        code="prefix-widened",
        level="error",
        what="A prefix becomes shorter, so that it takes in keys that were not meant.",
        why="Whatever begins with it is indexed: other applications' hashes, legacy keys, the next spec's.",
        example='-  prefix: "skill_emb:"\n+  prefix: "skill"',
        fix="End the prefix with a separator; where the wider one is meant, allow it with the reason.",
    ),
    Rule(
        code="undeclared-rename",
        level="error",
        what="Something is gone, something like it is new, and the spec does not say whether it is a rename.",
        why="As a rename it keeps its values, as two things it does not; neither is ever guessed.",
        example="-  title: {type: text}\n+  headline: {type: text}",
        fix="Say `renamed_from:`; where they are two things, allow the finding with the reason.",
    ),
    Rule(
        code="alias-renamed",
        level="warning",
        what="The name that applications query changes, or a further one (`aliases`) goes away.",
        why="Services that are still running ask for the old one, which `vecmigrate complete` takes away.",
        example="-  name: idx:skill_emb\n+  name: idx:skills",
        fix="Find everybody who asks for the old name, and complete only when the last of them is deployed.",
    ),
    Rule(
        code="name-taken",
        level="error",
        what="A new index is needed, there is no alias (`alias: false`), and `index.name` is the old one.",
        why="The index itself has that name, so that the old and the new one cannot both be there.",
        example="   index: {name: idx:doc, alias: false}\n-    m: 16\n+    m: 32",
        fix="Give the spec a new `index.name`: each release of the service then asks its own index.",
    ),
    Rule(
        code="not-re-embedded",
        level="error",
        what="Vectors have to be computed anew (dimensions, a new vector field), and no migration does it.",
        why="Documents whose vector has another size are silently missing from every answer.",
        example="-    dims: 384\n+    dims: 768",
        fix="Add the new vectors beside the old ones with op.run, and switch over in a later migration.",
    ),
    Rule(
        code="not-rewritten",
        level="error",
        what="Documents have to be written anew (prefix, storage, datatype, separator …), "
        "and no migration does it.",
        why="Documents as they are stored do not belong to the new index, or cannot be read by it.",
        example='-  prefix: "skill_emb:"\n+  prefix: "skills:"',
        fix="Write them with op.run in a migration that comes before the change.",
    ),
    Rule(
        code="metric-changed",
        level="warning",
        what="Distances are measured in another way.",
        why="Scores change their meaning, and with them every threshold in callers.",
        example="-    metric: cosine\n+    metric: ip",
        fix="Measure the thresholds anew and deploy them together with the change; then allow the finding.",
    ),
    Rule(
        code="graph-weakened",
        level="warning",
        what="M or EF_CONSTRUCTION of HNSW, or what answers to them in SVS-VAMANA, is lowered.",
        why="A poorer graph finds fewer of the true neighbours; more EF_RUNTIME makes queries slower.",
        example="-    ef_construction: 200\n+    ef_construction: 64",
        fix="Measure recall before and after (upgrade does, with --verify recall), and say what it is.",
    ),
    Rule(
        code="hnsw-small",
        level="info",
        what=f"HNSW over few vectors (up to {FEW_NUMBERS:,} numbers in all, as 2,500 × 384).",
        why="FLAT is exact and as fast or faster there, takes less memory and is built in no time.",
        example="algorithm: hnsw      # 120 documents, counted by --redis or said by initial_cap",
        fix="Use `algorithm: flat`, unless the number of documents is about to grow.",
    ),
    Rule(
        code="flat-large",
        level="warning",
        what=f"FLAT over many vectors ({MANY_NUMBERS:,} numbers in all or more, as 52,000 × 384).",
        why="Each query compares with every vector, on the thread that all other commands wait for.",
        example="algorithm: flat      # 200,000 documents, counted by --redis or said by initial_cap",
        fix="Use `algorithm: hnsw`.",
    ),
    Rule(
        code="errors-hidden",
        level="warning",
        what="A new index has helpers with `on_error: empty`.",
        why="A missing index, a wrong vector size or a server that is down look like an empty answer.",
        example="helpers:\n  on_error: empty",
        fix="Leave `on_error` at `raise`, or allow it with the reason why no answer is as good as an error.",
    ),
    Rule(
        code="migration-edited",
        level="error",
        what="A migration of the base was changed.",
        why="It may have been applied already: `upgrade` refuses to go on where the checksum differs.",
        example="a changed line, also in a comment, of a script that is on the base branch",
        fix="Restore the script and write a new revision.",
    ),
    Rule(
        code="migration-removed",
        level="error",
        what="A migration of the base is gone.",
        why="A database that it was applied to can go neither forward nor back.",
        example="a deleted script, or one whose `revision` was changed",
        fix="Restore the script and write a new revision that takes it back.",
    ),
    Rule(
        code="migrations-broken",
        level="error",
        what="The migrations cannot be read or recorded.",
        why="Nothing can be said about the state, and `upgrade` will stop at the same place.",
        example="a syntax error, an operation on an index that does not exist, a variable without a value",
        fix="Mend the script; give variables by -x or [tool.vecmigrate.variables].",
    ),
    Rule(
        code="several-heads",
        level="error",
        what="More than one revision is the newest.",
        why="`upgrade` does not know where to go; it happens when two pull requests add a migration each.",
        example="down_revision of two scripts is the same revision",
        fix="Run `vecmigrate merge -m …`, or let the new script revise the other one.",
    ),
    Rule(
        code="state-differs",
        level="error",
        what="What the migrations end in is not what the specs say.",
        why="Generated helpers would speak to an index that `upgrade` does not build.",
        example="`m: 32` in the spec, and no rebuild_index in a migration",
        fix="Run `vecmigrate revision --autogenerate -m …`, or mend the migration; where autogenerate "
        "refuses, the finding says what it would say.",
    ),
    Rule(
        code="generated-stale",
        level="error",
        what="The generated package is not what the specs give.",
        why="What is deployed would not be what was reviewed.",
        example="a spec was changed without running `vecmigrate generate`",
        fix="Run `vecmigrate generate` and commit the result.",
    ),
    Rule(
        code="irreversible-downgrade",
        level="warning",
        what="A new migration has no way back.",
        why="When the deploy has to be taken back, the database cannot follow.",
        example='op.execute("SET", "neighbours", 20)      # without undo',
        fix="Give `undo`, or write a downgrade; where there is none, allow the finding with the reason.",
    ),
    Rule(
        code="downgrade-differs",
        level="warning",
        what="The downgrade of a new migration does not end in the state before its upgrade.",
        why="After a downgrade the older services meet an index that they were not made for.",
        example="an upgrade of two operations, and a downgrade that takes one of them back",
        fix="Use `op.revert(upgrade)`, or let the downgrade take back every operation.",
    ),
    Rule(
        code="unused-suppression",
        level="warning",
        what="A comment allows something that is not found.",
        why="It would hide the next finding of its kind, which nobody looked at.",
        example="# vecmigrate: allow[metric-changed] …      # a release later",
        fix="Remove the comment. In migrations of the base it may stay: they must not be edited.",
    ),
    Rule(
        code="bad-suppression",
        level="warning",
        what="A comment names no code, an unknown one, or gives no reason.",
        why="It allows nothing as it stands, and nobody can tell later why it was written.",
        example="# vecmigrate: allow[metric-changed]",
        fix="Write `# vecmigrate: allow[code] reason`.",
    ),
)
RULES: Final = {rule.code: rule for rule in _TABLE}

# What is wrong with the comments themselves cannot be allowed by one.
ALLOWABLE: Final = frozenset(RULES) - {"unused-suppression", "bad-suppression"}
