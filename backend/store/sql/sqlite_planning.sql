-- name: insert_project
-- A new project.
INSERT INTO projects (
    id, title, description, status, base_branch, auto_accept, scope, created_by, created_at, updated_at,
    metadata, created_as)
VALUES (
    :id, :title, :description, 'active', :base_branch, :auto_accept, :scope, :created_by, :now, :now,
    :metadata, :created_as)

-- name: read_project
-- One project.
SELECT * FROM projects WHERE id = :id

-- name: list_projects
-- Every project, oldest first.
SELECT * FROM projects ORDER BY seq

-- name: save_project
-- Everything a person may edit, if nobody has changed the project since it was read.
UPDATE projects SET
    title = :title, description = :description, status = :status, base_branch = :base_branch,
    auto_accept = :auto_accept, completed_at = :completed_at, metadata = :metadata, version = :version,
    updated_at = :updated_at
WHERE id = :id AND version = :version - 1

-- name: delete_project
-- Forget a project, if nobody has changed it since it was read.
DELETE FROM projects WHERE id = :id AND version = :version

-- name: list_unfinished
-- Tasks of a project that are neither done nor cancelled.
SELECT id FROM tasks WHERE project_id = :id AND queue NOT IN ('done', 'cancelled') ORDER BY seq LIMIT :limit

-- name: insert_draft
-- A new draft.
INSERT INTO drafts (
    id, title, body, status, project_id, file_path, tags, task_ids, scope, created_by, created_at, updated_at,
    metadata, created_as)
VALUES (
    :id, :title, :body, 'idea', :project_id, :file_path, :tags, '[]', :scope, :created_by, :now, :now,
    :metadata, :created_as)

-- name: read_draft
-- One draft.
SELECT * FROM drafts WHERE id = :id

-- name: list_drafts
-- Every draft, oldest first.
SELECT * FROM drafts ORDER BY seq

-- name: save_draft
-- Everything a person may edit and the tasks it became, if nobody has changed it since it was read.
UPDATE drafts SET
    title = :title, body = :body, status = :status, project_id = :project_id, file_path = :file_path,
    tags = :tags, task_ids = :task_ids, metadata = :metadata, version = :version, updated_at = :updated_at
WHERE id = :id AND version = :version - 1

-- name: delete_draft
-- Forget a draft, if nobody has changed it since it was read.
DELETE FROM drafts WHERE id = :id AND version = :version
