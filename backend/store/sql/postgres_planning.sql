-- name: insert_project
-- A new project.
INSERT INTO projects (
    id, title, description, status, base_branch, auto_accept, scope, created_by, created_at, updated_at,
    metadata, created_as)
VALUES (
    %(id)s, %(title)s, %(description)s, 'active', %(base_branch)s, %(auto_accept)s::int::boolean, %(scope)s, %(created_by)s, %(now)s, %(now)s,
    %(metadata)s, %(created_as)s)

-- name: read_project
-- One project.
SELECT * FROM projects WHERE id = %(id)s

-- name: list_projects
-- Every project, oldest first.
SELECT * FROM projects ORDER BY seq

-- name: save_project
-- Everything a person may edit, if nobody has changed the project since it was read.
UPDATE projects SET
    title = %(title)s, description = %(description)s, status = %(status)s, base_branch = %(base_branch)s,
    auto_accept = %(auto_accept)s::int::boolean, completed_at = %(completed_at)s, metadata = %(metadata)s, version = %(version)s,
    updated_at = %(updated_at)s
WHERE id = %(id)s AND version = %(version)s - 1

-- name: delete_project
-- Forget a project, if nobody has changed it since it was read.
DELETE FROM projects WHERE id = %(id)s AND version = %(version)s

-- name: list_unfinished
-- Tasks of a project that are neither done nor cancelled.
SELECT id FROM tasks WHERE project_id = %(id)s AND queue NOT IN ('done', 'cancelled') ORDER BY seq LIMIT %(limit)s

-- name: insert_draft
-- A new draft.
INSERT INTO drafts (
    id, title, body, status, project_id, file_path, tags, task_ids, scope, created_by, created_at, updated_at,
    metadata, created_as)
VALUES (
    %(id)s, %(title)s, %(body)s, 'idea', %(project_id)s, %(file_path)s, %(tags)s, '[]', %(scope)s, %(created_by)s, %(now)s, %(now)s,
    %(metadata)s, %(created_as)s)

-- name: read_draft
-- One draft.
SELECT * FROM drafts WHERE id = %(id)s

-- name: list_drafts
-- Every draft, oldest first.
SELECT * FROM drafts ORDER BY seq

-- name: save_draft
-- Everything a person may edit and the tasks it became, if nobody has changed it since it was read.
UPDATE drafts SET
    title = %(title)s, body = %(body)s, status = %(status)s, project_id = %(project_id)s, file_path = %(file_path)s,
    tags = %(tags)s, task_ids = %(task_ids)s, metadata = %(metadata)s, version = %(version)s, updated_at = %(updated_at)s
WHERE id = %(id)s AND version = %(version)s - 1

-- name: delete_draft
-- Forget a draft, if nobody has changed it since it was read.
DELETE FROM drafts WHERE id = %(id)s AND version = %(version)s
